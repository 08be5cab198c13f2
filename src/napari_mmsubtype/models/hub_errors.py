"""What can go wrong with a repository of Hugging Face, in one sentence for the user."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_mmsubtype.models.bundle_address import HubAddress

_DISK = {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def hub_errors(
    address: HubAddress, kind: type[Exception], *, lacking: str, instead: str
) -> Iterator[None]:
    """Turn the errors of the hub's client into one sentence.

    Parameters
    ----------
    address : HubAddress
        What is asked for.
    kind : type
        Class of the error to raise.
    lacking : str
        Said where the repository has no such file.
    instead : str
        What to do without a network.

    Yields
    ------
    None
        Once; the client is called within.

    Raises
    ------
    Exception
        Of `kind`: unknown, gated, not to be reached or not to be kept.
    """
    from huggingface_hub import errors

    # The errors of the client's own network library differ by its version.
    network = getattr(errors, "HTTPError", OSError)
    try:
        yield
    except (
        OSError,
        network,
        errors.EntryNotFoundError,
        errors.HFValidationError,
    ) as err:
        msg = f"{address} {_words(err, address, errors, lacking, instead)}"
        raise kind(msg) from err


def _words(
    err: BaseException, address: HubAddress, errors: Any, lacking: str, instead: str
) -> str:
    """Say what went wrong with a repository, and what to do."""
    page = f"https://huggingface.co/{address.repository}"
    if isinstance(err, errors.GatedRepoError):
        return (
            f"is gated: ask for access at {page} and log in with `hf auth login`, or "
            "set HF_TOKEN"
        )
    if isinstance(err, errors.RevisionNotFoundError):
        return (
            f"does not exist at revision {address.revision!r}; see {page} for its "
            "branches, tags and commits"
        )
    if isinstance(err, errors.RepositoryNotFoundError):
        return (
            "was not found on Hugging Face; check the name and, if it is private, log "
            "in with `hf auth login`, or set HF_TOKEN"
        )
    if isinstance(err, errors.EntryNotFoundError) and not isinstance(
        err, errors.LocalEntryNotFoundError
    ):
        return lacking
    if isinstance(err, errors.HFValidationError):
        return f"is no name of a repository ({_first_line(err)})"
    if isinstance(err, OSError) and err.errno in _DISK:
        return f"cannot be kept ({err}); mend it, or set HF_HOME to another folder"
    return (
        f"cannot be reached ({_first_line(err.__cause__ or err)}) and is not in the "
        f"cache; check the network, or {instead}"
    )


def _first_line(err: BaseException) -> str:
    text = str(err).strip()
    return text.splitlines()[0].rstrip(".")[:200] if text else type(err).__name__
