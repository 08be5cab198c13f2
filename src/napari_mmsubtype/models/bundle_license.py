"""The license of a bundle, beside that of the encoder it was made from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import BundleIntegrityError
from napari_mmsubtype.models.bundle_schema import MANIFEST
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS
from napari_mmsubtype.models.pretraining import pretraining_of
from napari_mmsubtype.models.training_facts import TrainingFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

_RESTRICTED = re.compile(r"\bnc\b|non-?commercial|research|not for commercial", re.I)

# https://huggingface.co/docs/hub/repositories-licenses, those met with models.
_HUB_NAMES = (
    "apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "gpl-3.0", "lgpl-3.0",
    "agpl-3.0", "mpl-2.0", "cc0-1.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0",
    "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-sa-4.0", "cc-by-4.0", "unlicense",
)  # fmt: skip


def hub_license(text: str | None) -> str:
    """Give the name that model hubs have for a license.

    Parameters
    ----------
    text : str or None
        As stated; it may go on after the license's name.

    Returns
    -------
    str
        Of the hub's list, ``other`` for a license that is not on it, ``unknown`` where
        none is stated.
    """
    if not text:
        return "unknown"
    lower = text.lower()
    for name in _HUB_NAMES:
        if re.match(rf"{re.escape(name)}(?![\w.-]*\w)", lower):
            return name
    return "other"


def license_findings(
    info: Mapping[str, Any], encoder: str, began: str = ""
) -> tuple[str, list[str]]:
    """Say under which terms a bundle stands, and what its user should know.

    Parameters
    ----------
    info : mapping
        Facts about training, as the bundle has them.
    encoder : str
        Name of the encoder.
    began : str, default: ""
        Where its weights began, as `encoders.Encoder.origin`.

    Returns
    -------
    license : str
        Of the weights, ``not stated`` where the bundle does not say.
    notes : list of str
        One sentence each, about terms and about what the encoder was pretrained on.

    Raises
    ------
    BundleIntegrityError
        If the bundle claims fewer restrictions than its encoder has.
    """
    facts = TrainingFacts.from_info(info)
    origin = FOUNDATION_MODELS.get(encoder)
    notes = []
    if facts.license is None:
        notes.append(
            "the license of the weights is not stated: ask its author before you use "
            "or share them"
        )
    elif origin and origin.noncommercial and not _RESTRICTED.search(facts.license):
        msg = (
            f"{MANIFEST} states the license {facts.license!r}, but the encoder "
            f"{encoder!r} is under {origin.licence}, not for commercial use; ask the "
            "bundle's author for its terms"
        )
        raise BundleIntegrityError(msg)
    if origin is not None:
        terms = f"the encoder {encoder!r} is under {origin.licence} ({origin.url})"
        notes.append(
            terms + (": not for commercial use" if origin.noncommercial else "")
        )
    seen = pretraining_of(encoder, began)
    # Who trained the model may know more than its encoder tells.
    if seen.caution and (seen.saw_tcga or not facts.pretraining):
        notes.append(
            f"the encoder {encoder!r} was pretrained on {seen.words}: {seen.caution}"
        )
    return facts.license or "not stated", notes
