"""Facts of the pathology foundation models: origin, input, licence, pretraining."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_mmsubtype.errors import ConfigurationError

Rgb = tuple[float, float, float]

IMAGENET: tuple[Rgb, Rgb] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF: tuple[Rgb, Rgb] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_H_OPTIMUS: tuple[Rgb, Rgb] = (
    (0.707223, 0.578729, 0.703617),
    (0.211883, 0.230117, 0.177517),
)
_HIBOU: tuple[Rgb, Rgb] = ((0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundationModel:
    """What is known of a foundation model.

    Attributes
    ----------
    name : str
        Name in the registry.
    hub_id : str
        Where its weights are kept on Hugging Face; for CTransPath its code repository.
    architecture : str
        Network of timm it is built as.
    timm_options : dict
        What that network is built with.
    swiglu : bool
        Whether its feed-forward layers are SwiGLU ones that timm must be told of.
    layout : str
        Names in its weight file: ``"timm"``, ``"dinov2"`` or ``"ctranspath"``.
    dim : int
        Channels of the map.
    patch_px : int
        Side of a cell of the map in pixels.
    input_size : int
        Side of its patches in pixels.
    mpp : float
        Microns per pixel that it is used at.
    mean, std : tuple of float
        Normalization of images in 0 to 1.
    licence : str
        Of the weights.
    gated, noncommercial : bool
        Whether access must be asked for, and whether commercial use is excluded.
    pretraining : str
        What it was pretrained on.
    saw_tcga : bool
        Whether that includes TCGA, so that tests on TCGA are not independent.
    revision : str or None
        Commit on Hugging Face that ``"hub"`` takes, so that it is the same weights for
        everyone; None where no commit is known for certain, and the newest is taken.
    """

    name: str
    hub_id: str
    architecture: str
    timm_options: dict[str, Any] = field(default_factory=dict)
    swiglu: bool = False
    layout: str = "timm"
    dim: int
    patch_px: int
    input_size: int = 224
    mpp: float = 0.5
    mean: Rgb = IMAGENET[0]
    std: Rgb = IMAGENET[1]
    licence: str
    gated: bool = False
    noncommercial: bool = False
    pretraining: str
    saw_tcga: bool = False
    revision: str | None = None

    def require_permission(self, allow_noncommercial: bool) -> None:
        """Refuse a model of restricted use, unless the user agrees to its terms.

        Parameters
        ----------
        allow_noncommercial : bool
            True says that the use is covered by the model's licence.

        Raises
        ------
        ConfigurationError
            If the model is gated or not for commercial use and nothing was agreed to.
        """
        terms = [
            term
            for term, holds in (
                ("gated", self.gated),
                ("not for commercial use", self.noncommercial),
            )
            if holds
        ]
        if terms and not allow_noncommercial:
            msg = (
                f"encoder {self.name!r} is {' and '.join(terms)} (licence: "
                f"{self.licence}); read the terms at {self.url} and, if your use is "
                "covered, pass allow_noncommercial=True"
            )
            raise ConfigurationError(msg)

    @property
    def url(self) -> str:
        """Address of its card.

        Returns
        -------
        str
            On Hugging Face, or on GitHub.
        """
        host = "github.com" if self.layout == "ctranspath" else "huggingface.co"
        return f"https://{host}/{self.hub_id}"


_MODELS = (
    FoundationModel(
        name="ctranspath",
        hub_id="Xiyue-Wang/TransPath",
        architecture="swin_tiny_patch4_window7_224",
        layout="ctranspath",
        dim=768,
        patch_px=32,
        licence="GPL-3.0",
        pretraining="TCGA and PAIP",
        saw_tcga=True,
    ),
    FoundationModel(
        name="gigapath",
        hub_id="prov-gigapath/prov-gigapath",
        architecture="vit_giant_patch14_dinov2",
        timm_options={"img_size": 224, "patch_size": 16},
        dim=1536,
        patch_px=16,
        licence="Apache-2.0 with research terms",
        gated=True,
        pretraining="private slides of Providence",
        revision="eba85dd46097c3eedfcc2a3a9a930baecb6bcc19",
    ),
    FoundationModel(
        name="h-optimus-0",
        hub_id="bioptimus/H-optimus-0",
        architecture="vit_giant_patch14_reg4_dinov2",
        timm_options={"img_size": 224},
        dim=1536,
        patch_px=14,
        mean=_H_OPTIMUS[0],
        std=_H_OPTIMUS[1],
        licence="Apache-2.0",
        gated=True,
        pretraining="private slides",
        revision="b145cc1e6c6b30d3251aa8b1f844e6974188a743",
    ),
    FoundationModel(
        name="hibou-b",
        hub_id="histai/hibou-b",
        architecture="vit_base_patch14_reg4_dinov2",
        timm_options={"img_size": 224, "mlp_ratio": 4096 / 768},
        swiglu=True,
        layout="dinov2",
        dim=768,
        patch_px=14,
        mean=_HIBOU[0],
        std=_HIBOU[1],
        licence="Apache-2.0",
        gated=True,
        pretraining="private slides",
    ),
    FoundationModel(
        name="hibou-l",
        hub_id="histai/hibou-L",
        architecture="vit_large_patch14_reg4_dinov2",
        timm_options={"img_size": 224, "mlp_ratio": 5472 / 1024},
        swiglu=True,
        layout="dinov2",
        dim=1024,
        patch_px=14,
        mean=_HIBOU[0],
        std=_HIBOU[1],
        licence="Apache-2.0",
        gated=True,
        pretraining="private slides",
    ),
    FoundationModel(
        name="midnight-12k",
        hub_id="kaiko-ai/midnight",
        architecture="vit_giant_patch14_dinov2",
        timm_options={"img_size": 224},
        layout="dinov2",
        dim=1536,
        patch_px=14,
        mean=_HALF[0],
        std=_HALF[1],
        licence="MIT",
        pretraining="TCGA",
        saw_tcga=True,
        revision="adc6b15679c981cce6f9b018bbad09d16eeeda9f",
    ),
    FoundationModel(
        name="phikon-v2",
        hub_id="owkin/phikon-v2",
        architecture="vit_large_patch16_224",
        timm_options={"init_values": 1e-5},
        layout="dinov2",
        dim=1024,
        patch_px=16,
        licence="Owkin non-commercial",
        noncommercial=True,
        pretraining="TCGA, CPTAC and GTEx",
        saw_tcga=True,
        revision="2ae989a9c40cffaa27f0a6cb29cc94d1d6f9a5fd",
    ),
    FoundationModel(
        name="uni",
        hub_id="MahmoodLab/UNI",
        architecture="vit_large_patch16_224",
        timm_options={"init_values": 1e-5},
        dim=1024,
        patch_px=16,
        licence="CC-BY-NC-ND-4.0",
        gated=True,
        noncommercial=True,
        pretraining="private slides and GTEx",
        revision="b55a5ec6cade1a39edfe6534189a9b8ca7a022f0",
    ),
    FoundationModel(
        name="uni2-h",
        hub_id="MahmoodLab/UNI2-h",
        architecture="vit_giant_patch14_224",
        timm_options={
            "img_size": 224,
            "depth": 24,
            "num_heads": 24,
            "init_values": 1e-5,
            "embed_dim": 1536,
            "mlp_ratio": 2.66667 * 2,
            "no_embed_class": True,
            "reg_tokens": 8,
        },
        swiglu=True,
        dim=1536,
        patch_px=14,
        licence="CC-BY-NC-ND-4.0",
        gated=True,
        noncommercial=True,
        pretraining="private slides",
        revision="d517a8dd47902dd7c308b3c36f63bce47e7b9a43",
    ),
    FoundationModel(
        name="virchow2",
        hub_id="paige-ai/Virchow2",
        architecture="vit_huge_patch14_224",
        timm_options={
            "img_size": 224,
            "init_values": 1e-5,
            "mlp_ratio": 5.3375,
            "reg_tokens": 4,
        },
        swiglu=True,
        dim=1280,
        patch_px=14,
        licence="CC-BY-NC-ND-4.0",
        gated=True,
        noncommercial=True,
        pretraining="private slides of Memorial Sloan Kettering",
        revision="3158645804b69e3f3bc4439d4116edddf0840a72",
    ),
)

FOUNDATION_MODELS = {model.name: model for model in _MODELS}


def published_model(hub_id: str) -> FoundationModel | None:
    """Find the foundation model that a repository of Hugging Face holds.

    Parameters
    ----------
    hub_id : str
        ``org/name``, in any case.

    Returns
    -------
    FoundationModel or None
        None where the repository is none of the table.
    """
    for model in _MODELS:
        if model.hub_id.lower() == hub_id.lower():
            return model
    return None
