"""What an encoder saw before it came here, and whether TCGA was among it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_mmsubtype.models.bundle_address import HUB_SCHEME
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS, published_model

# Who publishes networks that were trained on photographs, and on nothing else.
_PHOTOGRAPHS = ("timm/",)


@dataclass(frozen=True, slots=True)
class Pretraining:
    """What is known of an encoder's pretraining.

    Attributes
    ----------
    words : str
        What it was pretrained on; empty where nothing is recorded.
    saw_tcga : bool or None
        Whether that includes TCGA; None where it is not known.
    """

    words: str
    saw_tcga: bool | None

    @property
    def caution(self) -> str:
        """Say what follows for tests on TCGA.

        Returns
        -------
        str
            Half a sentence; empty where they are independent or nothing is recorded.
        """
        if self.saw_tcga:
            return "results on patients of TCGA are not independent of it"
        if self.saw_tcga is None and self.words:
            return (
                "ask its authors whether TCGA was among it before you test on patients "
                "of TCGA"
            )
        return ""


def pretraining_of(encoder: str, origin: str) -> Pretraining:
    """Say what an encoder was pretrained on, by its name and where its weights began.

    Parameters
    ----------
    encoder : str
        Name in the registry.
    origin : str
        As `encoders.Encoder.origin`.

    Returns
    -------
    Pretraining
        Of a foundation model what the table says, whatever file it was filled from.
    """
    if model := FOUNDATION_MODELS.get(encoder):
        return Pretraining(model.pretraining, model.saw_tcga)
    if encoder.startswith("wsinfer:"):
        return _by_name(encoder)
    if not origin:
        return Pretraining("", None)
    # An encoder of several parts names the source of each: "cnn: ...; vit: ...".
    found = [
        _of_source(re.sub(r"^\w+: ", "", part.strip())) for part in origin.split(";")
    ]
    saw = [part.saw_tcga for part in found]
    return Pretraining(
        "; ".join(dict.fromkeys(part.words for part in found)),
        True if True in saw else None if None in saw else False,
    )


def _of_source(source: str) -> Pretraining:
    """Judge one source of weights."""
    if source.startswith("torchvision's "):
        return Pretraining("ImageNet-1k (photographs)", False)
    if source.startswith(HUB_SCHEME):
        repository = source.removeprefix(HUB_SCHEME).partition("@")[0]
        if model := published_model(repository):
            return Pretraining(model.pretraining, model.saw_tcga)
        if repository.startswith(_PHOTOGRAPHS):
            return Pretraining(f"photographs ({repository})", False)
    return _by_name(source)


def _by_name(source: str) -> Pretraining:
    """Take a name at its word where it names TCGA."""
    if "tcga" in source.lower():
        return Pretraining(f"TCGA, by its name: {source}", True)
    return Pretraining(f"data that {source} does not name", None)
