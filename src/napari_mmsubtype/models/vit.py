"""Vision transformers of torchvision, for patches of any multiple of 16 px."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer

from napari_mmsubtype.models.encoders import Encoder, require_multiple
from napari_mmsubtype.models.registry import register_encoder
from napari_mmsubtype.models.vit_names import from_timm_vit

TOKEN_PX = 16
_GRID = 14  # position embeddings are kept for 224 px, as in the weight files


@dataclass(frozen=True, slots=True)
class ViTShape:
    """How large a vision transformer is.

    Attributes
    ----------
    dim : int
        Length of a token.
    depth : int
        Number of blocks.
    heads : int
        Attention heads of a block; they divide ``dim``.
    """

    dim: int
    depth: int
    heads: int


SHAPES = {"vit_s_16": ViTShape(384, 12, 6), "vit_b_16": ViTShape(768, 12, 12)}


def build_vit(shape: ViTShape) -> Any:
    """Make torchvision's vision transformer without its classifier.

    Parameters
    ----------
    shape : ViTShape
        Widths and depth; a token is 16 x 16 px, its MLP is four times as wide.

    Returns
    -------
    torch.nn.Module
        With position embeddings for 224 px; `hidden_tokens` fits them to other sizes.
    """
    network = VisionTransformer(
        image_size=_GRID * TOKEN_PX,
        patch_size=TOKEN_PX,
        num_layers=shape.depth,
        num_heads=shape.heads,
        hidden_dim=shape.dim,
        mlp_dim=4 * shape.dim,
    )
    network.heads = nn.Identity()
    return network


def token_grid(tokens: Tensor, rows: int, cols: int) -> Tensor:
    """Lay tokens out as a map.

    Parameters
    ----------
    tokens : Tensor of float, shape (n, rows * cols, dim)
        Row by row, without class token.
    rows, cols : int
        Cells of the map.

    Returns
    -------
    Tensor of float, shape (n, dim, rows, cols)
        The same values.
    """
    return tokens.transpose(1, 2).reshape(len(tokens), -1, rows, cols)


def fit_positions(positions: Tensor, rows: int, cols: int) -> Tensor:
    """Resample position embeddings to another grid of tokens.

    Parameters
    ----------
    positions : Tensor of float, shape (1, 1 + g * g, dim)
        That of the class token first, then those of a square grid.
    rows, cols : int
        Tokens of the image.

    Returns
    -------
    Tensor of float, shape (1, 1 + rows * cols, dim)
        Bicubic in the grid; unchanged where the grid is the same.
    """
    first, grid = positions[:, :1], positions[:, 1:]
    side = round(grid.shape[1] ** 0.5)
    if (rows, cols) == (side, side):
        return positions
    plane = token_grid(grid, side, side)
    plane = F.interpolate(plane, (rows, cols), mode="bicubic", align_corners=False)
    return torch.cat([first, plane.flatten(2).transpose(1, 2)], dim=1)


def hidden_tokens(network: Any, images: Tensor) -> list[Tensor]:
    """Run the blocks of torchvision's vision transformer on images of any size.

    Parameters
    ----------
    network : torch.nn.Module
        Made by `build_vit`.
    images : Tensor of float, shape (n, 3, y, x)
        Normalized images; ``y`` and ``x`` are multiples of 16.

    Returns
    -------
    list of Tensor of float, shape (n, 1 + y / 16 * x / 16, dim)
        What each block gives, before any last normalization; the class token is first,
        the others follow the rows of the image.
    """
    cells = network.conv_proj(images)
    rows, cols = cells.shape[2:]
    tokens = cells.flatten(2).transpose(1, 2)
    first = network.class_token.expand(len(images), -1, -1)
    trunk = network.encoder
    tokens = torch.cat([first, tokens], dim=1)
    tokens = trunk.dropout(tokens + fit_positions(trunk.pos_embedding, rows, cols))
    hidden = []
    for block in trunk.layers:
        tokens = block(tokens)
        hidden.append(tokens)
    return hidden


class ViTEncoder(Encoder):
    """A vision transformer; its map is the grid of its normalized patch tokens.

    The class token takes part in the attention and is left out of the embedding, which
    is the average of the patch tokens.

    Parameters
    ----------
    architecture : str
        One of ``SHAPES``.
    input_size : int, default: 224
        Side of the patch in pixels, a multiple of 16.
    """

    def __init__(self, architecture: str, *, input_size: int = 224) -> None:
        shape = SHAPES[architecture]
        super().__init__(
            build_vit(shape),
            dim=shape.dim,
            input_size=require_multiple(input_size, TOKEN_PX, architecture),
            cell_px=TOKEN_PX,
            head_prefixes=("heads.",),
        )

    def translate_weights(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors of timm's vision transformers.

        Parameters
        ----------
        state : dict of str to Tensor
            In the names of torchvision or of timm.

        Returns
        -------
        dict of str to Tensor
            In the names of torchvision.
        """
        return from_timm_vit(state)

    def _features(self, images: Tensor) -> Tensor:
        network: Any = self.body
        rows, cols = (side // TOKEN_PX for side in images.shape[2:])
        tokens: Tensor = network.encoder.ln(hidden_tokens(network, images)[-1])
        return token_grid(tokens[:, 1:], rows, cols)


for _name in SHAPES:
    register_encoder(_name)(partial(ViTEncoder, _name))
