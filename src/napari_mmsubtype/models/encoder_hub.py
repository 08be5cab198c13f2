"""Weights of encoders from Hugging Face: one file, at a commit that is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import BundleError, ConfigurationError
from napari_mmsubtype.models.bundle_address import (
    HUB_SCHEME,
    HubAddress,
    parse_hub_address,
)
from napari_mmsubtype.models.foundation_table import published_model
from napari_mmsubtype.models.hub_errors import hub_errors

if TYPE_CHECKING:
    from napari_mmsubtype.models.encoders import Encoder

HUB = "hub"
"""As source of weights: the repository that the encoder's authors publish in."""

# As published, safetensors first; a pickle is read with weights_only=True.
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_hub_source(weights: str | Path) -> bool:
    """Tell whether weights are to come from Hugging Face.

    Parameters
    ----------
    weights : str or Path
        As `registry.create_encoder` takes them.

    Returns
    -------
    bool
        True for ``"hub"`` and for ``hf://`` addresses.
    """
    return isinstance(weights, str) and (
        weights == HUB or weights.startswith(HUB_SCHEME)
    )


def fetch_weights(encoder: Encoder, weights: str) -> tuple[Path, str]:
    """Download the weights of an encoder, or find them in the cache.

    Nothing is asked for before the terms of the weights are agreed to. Tokens, the
    cache's folder and offline mode are those of Hugging Face's own tools (``HF_TOKEN``,
    ``HF_HOME``, ``HF_HUB_OFFLINE``).

    Parameters
    ----------
    encoder : Encoder
        To be filled.
    weights : str
        ``"hub"``, ``hf://org/name`` or ``hf://org/name@revision``.

    Returns
    -------
    path : Path
        The file in the cache.
    origin : str
        Its address at the commit that was taken: gives the same weights again.

    Raises
    ------
    ConfigurationError
        One sentence: the encoder is not on Hugging Face, its terms were not agreed to,
        or the repository is unknown, gated, without weights or not to be reached.
    """
    address = _address(encoder, weights)
    _require_terms(encoder, address)
    names = " or ".join(WEIGHT_FILES)
    with hub_errors(
        address,
        ConfigurationError,
        lacking=f"has no {names} at its top; download its weights and give the file",
        instead="download the file on a computer that has one and give it as weights",
    ):
        path = _download(address)
    file = Path(path)
    commit = file.parent.name
    if not _COMMIT.fullmatch(commit):
        msg = f"{address} gave no commit ({commit!r}); give one: {address}@<commit>"
        raise ConfigurationError(msg)
    return file, str(HubAddress(address.repository, commit))


def _download(address: HubAddress) -> str:
    """Bring the first of `WEIGHT_FILES` into the cache."""
    from huggingface_hub import errors, hf_hub_download

    lost: Exception | None = None
    for name in WEIGHT_FILES:
        try:
            return hf_hub_download(
                address.repository,
                name,
                revision=address.revision,
                library_name="napari-mmsubtype",
                # The client tries for long; once is enough to know.
                local_files_only=lost is not None,
            )
        except errors.LocalEntryNotFoundError as err:
            lost = lost or err
        except errors.EntryNotFoundError as err:
            absent = err
    raise lost or absent


def _address(encoder: Encoder, weights: str) -> HubAddress:
    """Find the repository that is meant."""
    if weights == HUB:
        if not encoder.hub_id:
            msg = (
                f"encoder {encoder.name!r} has no weights on Hugging Face that are "
                "known here; give hf://organisation/name or a file"
            )
            raise ConfigurationError(msg)
        model = published_model(encoder.hub_id)
        return HubAddress(encoder.hub_id, model.revision if model else None)
    try:
        return parse_hub_address(weights)
    except BundleError as err:
        msg = (
            f"{weights!r} is no address of weights on Hugging Face; expected "
            "hf://organisation/name, or hf://organisation/name@revision"
        )
        raise ConfigurationError(msg) from err


def _require_terms(encoder: Encoder, address: HubAddress) -> None:
    """Hold a known repository to its terms, whatever encoder is filled from it."""
    agreed = bool(encoder.options.get("allow_noncommercial", False))
    if model := published_model(address.repository):
        model.require_permission(agreed)
