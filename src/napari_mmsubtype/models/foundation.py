"""Pathology foundation models as encoders, their weights from a hub or a file."""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.layers import SwiGLUPacked
from torch import Tensor, nn

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.ctranspath import from_ctranspath, give_conv_stem
from napari_mmsubtype.models.dinov2_weights import from_dinov2
from napari_mmsubtype.models.encoders import require_multiple
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS, FoundationModel
from napari_mmsubtype.models.registry import register_encoder
from napari_mmsubtype.models.timm_encoder import TimmEncoder, build_timm


class FoundationEncoder(TimmEncoder):
    """A foundation model; its map is the grid of its normalized patch tokens.

    The embedding is the average of the patch tokens, whatever token the model's
    authors use, so that it can be drawn on the map.

    Parameters
    ----------
    model : FoundationModel
        What to build.
    input_size : int, optional
        Side of the patch in pixels, a multiple of the model's cells; by default its
        own.
    allow_noncommercial : bool, default: False
        Needed for gated models and those that are not for commercial use.

    Raises
    ------
    ConfigurationError
        If the model's terms were not agreed to or it does not take the size.
    """

    def __init__(
        self,
        model: FoundationModel,
        *,
        input_size: int | None = None,
        allow_noncommercial: bool = False,
    ) -> None:
        model.require_permission(allow_noncommercial)
        size = require_multiple(
            input_size or model.input_size, model.patch_px, model.name
        )
        if model.layout == "ctranspath" and size != model.input_size:
            msg = (
                f"{model.name} takes patches of {model.input_size} px, found {size} px"
            )
            raise ConfigurationError(msg)
        super().__init__(
            model.name,
            input_size=size,
            network=_network(model),
            shape=(model.dim, size // model.patch_px),
            mean=model.mean,
            std=model.std,
        )
        self.model = model
        self.hub_id = "" if model.layout == "ctranspath" else model.hub_id

    def translate_weights(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the tensors of the published file the names they have in ``body``.

        Parameters
        ----------
        state : dict of str to Tensor
            As published, or in the names of timm.

        Returns
        -------
        dict of str to Tensor
            In the names of timm.
        """
        body: Any = self.body
        if self.model.layout == "ctranspath":
            return from_ctranspath(state)
        if self.model.layout == "dinov2":
            return from_dinov2(
                state,
                side=body.patch_embed.grid_size[0],
                class_has_position=not body.no_embed_class,
            )
        return state


def _network(model: FoundationModel) -> Any:
    """Build the network of a model with random weights."""
    options = dict(model.timm_options)
    if model.layout == "ctranspath":
        return give_conv_stem(build_timm(model.architecture, **options))
    if model.swiglu:
        options.update(mlp_layer=SwiGLUPacked, act_layer=nn.SiLU)
    return build_timm(model.architecture, dynamic_img_size=True, **options)


for _name, _model in FOUNDATION_MODELS.items():
    register_encoder(_name)(partial(FoundationEncoder, _model))
