"""Bundles from Hugging Face: only their own files, at one commit, into its cache."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_content import MAX_TEXT_BYTES, read_json_file
from napari_mmsubtype.models.bundle_names import is_bundle_file
from napari_mmsubtype.models.bundle_schema import MANIFEST
from napari_mmsubtype.models.bundle_zip import MAX_MEMBER_BYTES, MAX_TOTAL_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_mmsubtype.models.bundle_address import HubAddress

_LIBRARY = "napari-mmsubtype"
_DISK = {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS}


def download_from_hub(address: HubAddress, tell: Callable[[str], object]) -> Path:
    """Download the files of a bundle, or find them in the cache.

    The present commit of the revision is asked for; without network, what the cache
    has of it serves. Tokens, the cache's folder and offline mode are those that
    Hugging Face's own tools use (``HF_TOKEN``, ``HF_HOME``, ``HF_HUB_OFFLINE``).

    Parameters
    ----------
    address : HubAddress
        Repository and revision.
    tell : callable
        Receives one sentence before weights are downloaded.

    Returns
    -------
    Path
        The snapshot in the cache; its name is the commit. Nothing in it has been
        checked but its manifest's list of files.

    Raises
    ------
    BundleError
        One sentence: repository or revision unknown, gated, no bundle, too large, or
        not to be reached.
    """
    _refuse_large_manifest(address)
    first = _manifest(address).parent
    names = _listed(first, address)
    missing = [name for name in names if not (first / name).is_file()]
    if not missing:
        tell(f"using bundle {address} at commit {first.name}, downloaded before")
        return first
    size = _total_size(address, first.name, missing)
    tell(
        f"downloading bundle {address} at commit {first.name}: {len(missing)} files, "
        f"{size / 1e6:.1f} MB"
    )
    return _snapshot(address, first.name, [MANIFEST, *names])


def _refuse_large_manifest(address: HubAddress) -> None:
    """Ask for the size of the manifest; who cannot be asked fails at the next step."""
    try:
        size = sum(_sizes(address, address.revision, [MANIFEST]).values())
    except BundleError:
        return
    if size > MAX_TEXT_BYTES:
        msg = (
            f"{MANIFEST} of {address} has {size} bytes; expected at most "
            f"{MAX_TEXT_BYTES}"
        )
        raise BundleError(msg)


def _manifest(address: HubAddress) -> Path:
    """Bring the manifest of the present commit into the cache."""
    from huggingface_hub import hf_hub_download

    with _one_sentence(address):
        path = hf_hub_download(
            address.repository,
            MANIFEST,
            revision=address.revision,
            library_name=_LIBRARY,
        )
    return Path(path)


def _listed(snapshot: Path, address: HubAddress) -> list[str]:
    """Give the files that the manifest lists, if they are those of a bundle."""
    path = snapshot / MANIFEST
    listed = read_json_file(path, f"{MANIFEST} of {address}").get("files")
    names = listed if isinstance(listed, dict) else {}
    strange = sorted(name for name in names if not is_bundle_file(name))
    if not names or strange:
        found = f"the file {strange[0][:80]!r}" if strange else "no files"
        msg = f"{MANIFEST} of {address} lists {found}; expected those of a bundle"
        raise BundleError(msg)
    return sorted(names)


def _total_size(address: HubAddress, commit: str, names: Sequence[str]) -> int:
    """Ask how large files are together, and refuse what is too large for a bundle."""
    found = _sizes(address, commit, names)
    absent = [name for name in names if name not in found]
    if absent:
        msg = (
            f"{address} lacks {absent[0]!r}, which its {MANIFEST} lists; ask its "
            "author to upload the whole bundle"
        )
        raise BundleError(msg)
    largest = max(found, key=lambda name: found[name])
    total = sum(found.values())
    if found[largest] > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
        msg = (
            f"{address} holds {total} bytes ({largest}: {found[largest]}); expected at "
            f"most {MAX_TOTAL_BYTES}, and {MAX_MEMBER_BYTES} in one file"
        )
        raise BundleError(msg)
    return total


def _sizes(
    address: HubAddress, revision: str | None, names: Sequence[str]
) -> dict[str, int]:
    """Ask how large files are, before they are downloaded."""
    from huggingface_hub import HfApi

    with _one_sentence(address):
        entries = HfApi(library_name=_LIBRARY).get_paths_info(
            address.repository, list(names), revision=revision
        )
    return {entry.path: int(getattr(entry, "size", 0)) for entry in entries}


def _snapshot(address: HubAddress, commit: str, names: Sequence[str]) -> Path:
    """Bring named files of a commit into the cache."""
    from huggingface_hub import snapshot_download

    with _one_sentence(address):
        return Path(
            snapshot_download(
                address.repository,
                revision=commit,
                allow_patterns=list(names),
                library_name=_LIBRARY,
            )
        )


@contextmanager
def _one_sentence(address: HubAddress) -> Iterator[None]:
    """Turn the errors of the hub's client into one sentence for the user."""
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
        msg = f"{address} {_words(err, address, errors)}"
        raise BundleError(msg) from err


def _words(err: BaseException, address: HubAddress, errors: Any) -> str:
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
        return (
            f"is not a bundle: it has no {MANIFEST} at its top; give a repository that "
            "holds the files of a bundle"
        )
    if isinstance(err, errors.HFValidationError):
        return f"is no name of a repository ({_first_line(err)})"
    if isinstance(err, OSError) and err.errno in _DISK:
        return f"cannot be kept ({err}); mend it, or set HF_HOME to another folder"
    return (
        f"cannot be reached ({_first_line(err.__cause__ or err)}) and is not in the "
        "cache; check the network, or import it on a computer that has one and copy "
        "its zip"
    )


def _first_line(err: BaseException) -> str:
    text = str(err).strip()
    return text.splitlines()[0].rstrip(".")[:200] if text else type(err).__name__
