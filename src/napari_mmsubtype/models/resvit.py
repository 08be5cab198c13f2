"""ResViT: a ResNet and a vision transformer side by side, joined by TAMA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoders import Encoder, require_multiple
from napari_mmsubtype.models.registry import create_encoder, register_encoder
from napari_mmsubtype.models.seresnet import SqueezeExcitation
from napari_mmsubtype.models.tama import (
    AlignedTokens,
    AlignmentLoss,
    TokenAlignedAttention,
    TokenFusion,
    align_grid,
    sincos_positions,
)
from napari_mmsubtype.models.vit import (
    SHAPES,
    TOKEN_PX,
    ViTShape,
    build_vit,
    hidden_tokens,
    token_grid,
)
from napari_mmsubtype.models.vit_names import from_timm_vit

NAME = "resvit"
_CNNS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "seresnet50",
)
_TAPS = 4
_STEP_PX = 32


@dataclass(frozen=True, slots=True)
class ResViTFeatures:
    """What the branches and their fusion make of patches.

    Attributes
    ----------
    map : Tensor of float, shape (n, dim, h, w)
        The joint tokens as a map.
    tokens : AlignedTokens
        The joint tokens and the branches before the gate.
    cnn_pooled : Tensor of float, shape (n, cnn_dim)
        Average of the convolutional map after its channel attention.
    class_token : Tensor of float, shape (n, vit_dim)
        The transformer's class token, mixed over blocks.
    """

    map: Tensor
    tokens: AlignedTokens
    cnn_pooled: Tensor
    class_token: Tensor


class ResViTBody(nn.Module):
    """Both branches and their fusion.

    Parameters
    ----------
    cnn : str
        Name of the convolutional network in the registry.
    vit : ViTShape
        Widths and depth of the transformer.
    dim : int
        Length of the joint tokens.
    heads : int
        Heads of the joint attention.
    cell_px : int
        Side of a joint token in pixels, 16 or 32.
    dropout : float
        Dropout of the fusion during training.
    """

    def __init__(
        self,
        cnn: str,
        vit: ViTShape,
        *,
        dim: int,
        heads: int,
        cell_px: int,
        dropout: float,
    ) -> None:
        super().__init__()
        encoder = create_encoder(cnn)
        self.cell_px = cell_px
        self.dim = dim
        self.cnn_dim = encoder.dim
        self.vit_dim = vit.dim
        self.vit_shape = vit
        self.taps = [vit.depth * (tap + 1) // _TAPS - 1 for tap in range(_TAPS)]
        self.cnn = encoder
        self.channels = SqueezeExcitation(encoder.dim, bias=False)
        self.cnn_project = nn.Conv2d(encoder.dim, dim, 1)
        self.cnn_norm = nn.LayerNorm(dim)
        self.vit: Any = build_vit(vit)
        # Each tapped block has a normalization of its own.
        self.vit.encoder.ln = nn.Identity()
        self.mix = TokenFusion(vit.dim, _TAPS)
        self.vit_project = nn.Linear(vit.dim, dim) if vit.dim != dim else nn.Identity()
        self.join = TokenAlignedAttention(dim, heads=heads, dropout=dropout)

    def forward(self, images: Tensor) -> ResViTFeatures:
        """Run both branches and join them.

        Parameters
        ----------
        images : Tensor of float, shape (n, 3, y, x)
            Normalized images; ``y`` and ``x`` are multiples of 32.

        Returns
        -------
        ResViTFeatures
            The joint map, and what the auxiliary heads take.
        """
        rows, cols = (side // self.cell_px for side in images.shape[2:])
        weighed = self.channels(self.cnn.feature_map(images))
        projected = self.cnn_project(weighed).permute(0, 2, 3, 1)
        normed = self.cnn_norm(projected).permute(0, 3, 1, 2)
        cnn = align_grid(normed, rows, cols).flatten(2).transpose(1, 2)

        hidden = hidden_tokens(self.vit, images)
        mixed = self.mix([hidden[tap] for tap in self.taps])
        grid = token_grid(
            self.vit_project(mixed[:, 1:]), *(s // TOKEN_PX for s in images.shape[2:])
        )
        vit = align_grid(grid, rows, cols).flatten(2).transpose(1, 2)

        positions = sincos_positions(rows, cols, self.dim).to(cnn)
        tokens = self.join(cnn, vit, positions)
        return ResViTFeatures(
            token_grid(tokens.fused, rows, cols),
            tokens,
            weighed.mean(dim=(2, 3)),
            mixed[:, 0],
        )


class _TransformerBranch(Encoder):
    """The transformer, to be filled from a weight file of torchvision or of timm."""

    def translate_weights(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        # Each tapped block has a normalization of its own instead of the last one.
        return {
            name: value
            for name, value in from_timm_vit(state).items()
            if not name.startswith("encoder.ln.")
        }


class ResViTEncoder(Encoder):
    """ResViT without its heads; its map is the grid of joint tokens.

    Parameters
    ----------
    input_size : int, default: 224
        Side of the patch in pixels, a multiple of 32.
    cnn : str, default: "resnet50"
        Convolutional network: a ResNet of the registry or ``"seresnet50"``.
    vit_dim, vit_depth, vit_heads : int, default: 384, 12, 6
        The transformer; ViT-B has 768, 12 and 12. A quarter of the blocks at a time is
        tapped: blocks 3, 6, 9 and 12 of 12.
    dim : int, default: 384
        Length of the joint tokens and of the embedding.
    heads : int, default: 8
        Heads of the joint attention.
    cell_px : int, default: 16
        Side of a joint token in pixels: 16 lifts the convolutional grid (14 x 14 for
        224 px), 32 pools that of the transformer (7 x 7), which is cheaper.
    dropout : float, default: 0.0
        Dropout of the fusion during training.
    """

    def __init__(
        self,
        *,
        input_size: int = 224,
        cnn: str = "resnet50",
        vit_dim: int = 384,
        vit_depth: int = 12,
        vit_heads: int = 6,
        dim: int = 384,
        heads: int = 8,
        cell_px: int = 16,
        dropout: float = 0.0,
    ) -> None:
        _check_choices(cnn, cell_px, vit_depth)
        _check_width("vit_dim", vit_dim, vit_heads)
        _check_width("dim", dim, heads)
        shape = ViTShape(vit_dim, vit_depth, vit_heads)
        super().__init__(
            ResViTBody(
                cnn, shape, dim=dim, heads=heads, cell_px=cell_px, dropout=dropout
            ),
            dim=dim,
            input_size=require_multiple(input_size, _STEP_PX, NAME),
            cell_px=cell_px,
        )

    def branches(self, images: Tensor) -> ResViTFeatures:
        """Compute the joint map and what the auxiliary heads take.

        Parameters
        ----------
        images : Tensor of float, shape (n, 3, y, x)
            Normalized images.

        Returns
        -------
        ResViTFeatures
            Features of both branches and of their fusion.
        """
        features: ResViTFeatures = self.body(images)
        return features

    def backbone(self) -> list[nn.Parameter]:
        """Give the weights of both branches, without those of their fusion.

        Returns
        -------
        list of torch.nn.Parameter
            Of the convolutional network and of the transformer.
        """
        body: Any = self.body
        return [*body.cnn.parameters(), *body.vit.parameters()]

    def parts(self) -> dict[str, Encoder]:
        """Give both branches, to be filled from weight files of their own.

        Returns
        -------
        dict of str to Encoder
            ``cnn`` and ``vit``, which share their weights with this encoder.
        """
        body: Any = self.body
        vit = _TransformerBranch(
            body.vit,
            dim=body.vit_dim,
            input_size=self.input_size,
            cell_px=TOKEN_PX,
            head_prefixes=("heads.",),
        )
        names = {shape: name for name, shape in SHAPES.items()}
        vit.name = names.get(body.vit_shape, "vit")
        return {"cnn": body.cnn, "vit": vit}

    def _features(self, images: Tensor) -> Tensor:
        return self.branches(images).map


@dataclass(frozen=True, slots=True)
class ResViTOutput:
    """What `ResViTClassifier` gives.

    Attributes
    ----------
    logits : Tensor of float, shape (n, classes)
        Of the joint tokens.
    evidence : Tensor of float, shape (n, classes, h, w)
        Share of each cell in the logits; its sum and the bias are the logit.
    cnn_logits, vit_logits : Tensor of float, shape (n, classes)
        Of the auxiliary heads, for training.
    alignment_loss : Tensor of float, shape ()
        Disagreement of the branches, for training.
    """

    logits: Tensor
    evidence: Tensor
    cnn_logits: Tensor
    vit_logits: Tensor
    alignment_loss: Tensor


class ResViTClassifier(nn.Module):
    """ResViT with a linear head on its average, and a head on each branch.

    Parameters
    ----------
    encoder : ResViTEncoder
        Trained together with the heads.
    classes : int
        Number of classes.
    """

    def __init__(self, encoder: ResViTEncoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, classes)
        body: Any = encoder.body
        self.cnn_head = nn.Linear(body.cnn_dim, classes)
        self.vit_head = nn.Linear(body.vit_dim, classes)
        self.alignment = AlignmentLoss(encoder.dim)

    def forward(self, images: Tensor) -> ResViTOutput:
        """Classify patches.

        Parameters
        ----------
        images : Tensor of float, shape (n, 3, y, x)
            Normalized images.

        Returns
        -------
        ResViTOutput
            Logits of all heads and the exact evidence of every cell.
        """
        found = self.encoder.branches(images)
        cells = found.map.shape[2] * found.map.shape[3]
        weight = self.head.weight / cells
        return ResViTOutput(
            logits=self.head(found.map.mean(dim=(2, 3))),
            evidence=torch.einsum("cd,ndhw->nchw", weight, found.map),
            cnn_logits=self.cnn_head(found.cnn_pooled),
            vit_logits=self.vit_head(found.class_token),
            alignment_loss=self.alignment(found.tokens),
        )


def _check_choices(cnn: str, cell_px: int, vit_depth: int) -> None:
    """Refuse options that have no meaning here."""
    if cnn not in _CNNS:
        msg = f"resvit has no convolutional branch {cnn!r}; use one of {_CNNS}"
        raise ConfigurationError(msg)
    if cell_px not in (TOKEN_PX, _STEP_PX):
        msg = f"resvit has tokens of {TOKEN_PX} or {_STEP_PX} px, found {cell_px} px"
        raise ConfigurationError(msg)
    if vit_depth < _TAPS:
        msg = f"resvit mixes {_TAPS} blocks, found vit_depth {vit_depth}; use 12"
        raise ConfigurationError(msg)


def _check_width(name: str, width: int, heads: int) -> None:
    """Refuse a width that its heads, or the positions, do not divide."""
    if heads < 1 or width < 1 or width % heads or width % 4:
        msg = (
            f"{name} of resvit must be a multiple of 4 and of its {heads} heads, found "
            f"{width}; use for example 384 with 6 or 8 heads"
        )
        raise ConfigurationError(msg)


register_encoder(NAME)(ResViTEncoder)
