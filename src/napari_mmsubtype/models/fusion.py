"""What every fusion model takes and gives, and how one is made by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.option_names import require_options

_BUILT_IN = {
    "evidence": "napari_mmsubtype.models.evidence",
    "cross_attention": "napari_mmsubtype.models.cross_attention",
    "feature_concat": "napari_mmsubtype.models.joint_fusion",
    "gated": "napari_mmsubtype.models.joint_fusion",
    "bilinear": "napari_mmsubtype.models.joint_fusion",
    "late": "napari_mmsubtype.models.late_fusion",
    "image_only": "napari_mmsubtype.models.unimodal",
    "rna_only": "napari_mmsubtype.models.unimodal",
    "methylation_only": "napari_mmsubtype.models.unimodal",
    "clinical_only": "napari_mmsubtype.models.unimodal",
}
_OF_OTHERS = {"fold_ensemble": "napari_mmsubtype.models.fold_ensemble"}
"""Made of models that are trained already: bundles hold them, presets do not."""

OWN = ""
"""In ``downward``: the weights that a module holds itself."""


@dataclass(slots=True)
class FusionOutput:
    """What a fusion model says about a batch of ``b`` patients.

    Attributes
    ----------
    logits : Tensor of float, shape (b, c)
        Fused logits, before temperature.
    evidence : Tensor of float, shape (b, n, c)
        Signed contribution of each patch, 0 for padding and where the image is absent.
        Its meaning is the model's own; see its docstring.
    weights : Tensor of float, shape (b, n)
        Attention of each patch, summing to 1, or all 0 where the image is absent.
    modality_logits : dict of str to Tensor of float, shape (b, c)
        By modality; ``"image"`` is the sum of the evidence. In models with
        ``exact_cam`` they add up to ``logits``, together with ``"bias"``; in others
        they are the auxiliary heads. Rows of an absent modality are 0.
    """

    logits: Tensor
    evidence: Tensor
    weights: Tensor
    modality_logits: dict[str, Tensor]


class FusionModel(nn.Module):
    """Joins the patches of a slide with the patient's omics vectors.

    Any subset of the modalities may be given. The empty one is answered too: by what
    the model would say about an unknown patient. Subclasses implement ``_fuse`` and, if
    they are exact, ``_pixel_queries``.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors; may be empty.

    Attributes
    ----------
    name : str
        Name in the registry.
    options : dict
        What `create_fusion` was given besides the sizes.
    modalities : tuple of Modality
        The image, then the omics in the order used everywhere.
    uses : tuple of Modality
        Those that can move the logits: all of them but in baseline models of one.
    exact_cam : bool
        Whether evidence is linear in the feature map, so that `pixel_queries` applies.
    image_apart : bool
        Whether the image is encoded without a look at the tables: in evaluation, one
        slide expanded to many versions of the tables is then encoded once.
    downward : tuple of str
        Parts that lie nearest to the logits, the nearest first, where they are not the
        ones made last; see `parts_downward`.
    embedding_mean, embedding_scale : Tensor of float, shape (dim,)
        Constants of the training patches, set by `set_reference`; 0 and 1 before.
    """

    exact_cam = False
    image_apart = False
    downward: tuple[str, ...] = ()
    embedding_mean: Tensor
    embedding_scale: Tensor

    def __init__(self, dim: int, classes: int, omics: Mapping[str, int]) -> None:
        super().__init__()
        if dim < 1 or classes < 1:
            msg = (
                f"a fusion model needs positive sizes and omics among {list(OMICS)}, "
                f"found dim={dim}, classes={classes}, omics={dict(omics)}"
            )
            raise ValueError(msg)
        self.name = type(self).__name__
        self.options: dict[str, Any] = {}
        self.dim = dim
        self.classes = classes
        self._name_modalities(omics)
        self.uses = self.modalities
        self.register_buffer("embedding_mean", torch.zeros(dim))
        self.register_buffer("embedding_scale", torch.ones(dim))

    def set_reference(self, mean: Tensor, std: Tensor) -> None:
        """Tell the model where the embeddings of the training patches lie.

        Call it before training: it conditions the image branch well whatever the
        encoder's scale, and lets evidence count from the average training patch.

        Parameters
        ----------
        mean, std : Tensor of float, shape (dim,)
            Over patches of the training cases only.
        """
        # A channel that hardly moves must not be blown up to the size of the others.
        floor = (0.05 * std.mean()).clamp_min(1e-6)
        self.embedding_mean.copy_(mean)
        self.embedding_scale.copy_(torch.maximum(std, floor))

    def forward(
        self, bag: Tensor, mask: Tensor, omics: Mapping[str, Tensor], present: Tensor
    ) -> FusionOutput:
        """Classify a batch of patients.

        Parameters
        ----------
        bag : Tensor of float, shape (b, n, dim)
            Patch embeddings, padded with any finite value; ``n`` may be 0.
        mask : Tensor of bool, shape (b, n)
            True for patches, False for padding.
        omics : mapping of str to Tensor of float, shape (b, g)
            Scaled vectors by modality. A modality that is left out counts as absent.
        present : Tensor of bool, shape (b, m)
            Which modalities each patient has, in the order of ``modalities``. Values of
            absent ones do not matter.

        Returns
        -------
        FusionOutput
            Logits, evidence, weights and modality logits.

        Raises
        ------
        ValueError
            If shapes or modalities do not fit each other or the model.
        """
        if bag.ndim != 3 or bag.shape[2] != self.dim or mask.shape != bag.shape[:2]:
            msg = (
                f"bag must be (b, n, {self.dim}) and mask (b, n), found "
                f"{tuple(bag.shape)} and {tuple(mask.shape)}"
            )
            raise ValueError(msg)
        if len(present) != len(bag):
            msg = f"present is for {len(present)} patients, the bag for {len(bag)}"
            raise ValueError(msg)
        values, present = self._check_omics(omics, present)
        bag = bag.to(self.embedding_mean.dtype)
        return self._fuse(bag, mask & present[:, :1], values, present)

    def pixel_queries(self, omics: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Give the vectors whose product with an embedding is its evidence.

        Parameters
        ----------
        omics : mapping of str to Tensor of float, shape (b, g)
            As in `forward`.
        present : Tensor of bool, shape (b, m)
            As in `forward`.

        Returns
        -------
        Tensor of float, shape (b, c, dim)
            In the space of the encoder: evidence of a patch is its weight times the
            query times the embedding, and of a cell of its feature map (of ``h`` times
            ``w`` cells) the same with the cell's features, divided by ``h w``.

        Raises
        ------
        TypeError
            If the model is not exact (``exact_cam`` is False).
        """
        return self._pixel_queries(*self._check_omics(omics, present))

    def _fuse(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> FusionOutput:
        """Classify checked input: one vector per omics modality, 0 where absent."""
        raise NotImplementedError

    def _pixel_queries(
        self, values: Mapping[Modality, Tensor], present: Tensor
    ) -> Tensor:
        """Give the queries for checked input."""
        msg = f"fusion model {self.name!r} is not linear in the feature map"
        raise TypeError(msg)

    def _name_modalities(self, omics: Mapping[str, int]) -> None:
        """Bring the omics into the order used everywhere, the image before them."""
        unknown = sorted(set(omics) - set(OMICS))
        if unknown or any(n < 1 for n in omics.values()):
            msg = (
                f"a fusion model needs positive sizes and omics among {list(OMICS)}, "
                f"found omics={dict(omics)}"
            )
            raise ValueError(msg)
        self.omics = {m: int(omics[m]) for m in OMICS if m in omics}
        self.modalities: tuple[Modality, ...] = (Modality.IMAGE, *self.omics)

    def _check_omics(
        self, omics: Mapping[str, Tensor], present: Tensor
    ) -> tuple[dict[Modality, Tensor], Tensor]:
        """Complete the vectors, and mark what is left out as absent."""
        if present.ndim != 2 or present.shape[1] != len(self.modalities):
            msg = (
                f"present must be (b, {len(self.modalities)}) for modalities "
                f"{list(self.modalities)}, found {tuple(present.shape)}"
            )
            raise ValueError(msg)
        unknown = sorted(set(omics) - set(self.omics))
        if unknown:
            msg = f"the model takes {list(self.omics)}, found omics {unknown}"
            raise ValueError(msg)
        reference = self.embedding_mean
        values: dict[Modality, Tensor] = {}
        here = [present[:, 0]]
        for column, (modality, length) in enumerate(self.omics.items(), start=1):
            vector = omics.get(modality)
            if vector is None:
                values[modality] = reference.new_zeros(len(present), length)
                here.append(torch.zeros_like(present[:, 0]))
                continue
            if vector.shape != (len(present), length):
                msg = (
                    f"{modality} must be {(len(present), length)}, "
                    f"found {tuple(vector.shape)}"
                )
                raise ValueError(msg)
            flag = present[:, column]
            # Also NaN of an absent modality must not reach the network.
            values[modality] = vector.to(reference.dtype).masked_fill(
                ~flag.unsqueeze(1), 0.0
            )
            here.append(flag)
        return values, torch.stack(here, dim=1)


_Model = TypeVar("_Model", bound=Callable[..., FusionModel])
_FACTORIES: dict[str, Callable[..., FusionModel]] = {}


def register_fusion(name: str) -> Callable[[_Model], _Model]:
    """Make a fusion model available under a name.

    Parameters
    ----------
    name : str
        What `create_fusion` is called with.

    Returns
    -------
    callable
        Decorator for what takes ``(dim, classes, omics, **options)``, e.g. a class.

    Raises
    ------
    ValueError
        If the name is taken by another factory.
    """

    def _register(factory: _Model) -> _Model:
        known = _FACTORIES.setdefault(name, factory)
        if known is not factory:
            msg = f"fusion model {name!r} is already registered by {known!r}"
            raise ValueError(msg)
        return factory

    return _register


def list_fusions() -> list[str]:
    """List the names that `create_fusion` knows.

    Returns
    -------
    list of str
        Sorted; built-in and registered ones that can be trained.
    """
    return sorted({*_BUILT_IN, *_FACTORIES} - {*_OF_OTHERS})


def create_fusion(
    name: str, *, dim: int, classes: int, omics: Mapping[str, int], **options: Any
) -> FusionModel:
    """Make a fusion model with random weights under the current seed.

    Parameters
    ----------
    name : str
        One of `list_fusions`, or ``fold_ensemble``.
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    **options
        What the model takes besides; plain JSON types.

    Returns
    -------
    FusionModel
        In training mode.

    Raises
    ------
    ConfigurationError
        If no model has this name.
    """
    model = _factory(name)(dim, classes, omics, **options)
    model.name = name
    model.options = dict(options)
    return model


def check_fusion_options(name: str, options: Mapping[str, Any]) -> None:
    """Check that a fusion model exists and takes options, without making it.

    Parameters
    ----------
    name : str
        One of `list_fusions`.
    options : mapping
        What it is to take besides sizes.

    Raises
    ------
    ConfigurationError
        If the name or an option is unknown.
    """
    if name in _OF_OTHERS:
        msg = (
            f"fusion model {name!r} is made of trained ones and is not trained itself; "
            f"choose one of {', '.join(list_fusions())}"
        )
        raise ConfigurationError(msg)
    require_options(_factory(name), options, f"fusion model {name!r}")


def _factory(name: str) -> Callable[..., FusionModel]:
    """Find what makes a fusion model."""
    place = {**_BUILT_IN, **_OF_OTHERS}.get(name)
    if name not in _FACTORIES and place is not None:
        import_module(place)
    if name not in _FACTORIES:
        msg = f"unknown fusion model {name!r}; known are {', '.join(list_fusions())}"
        raise ConfigurationError(msg)
    return _FACTORIES[name]
