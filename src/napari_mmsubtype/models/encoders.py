"""What every patch encoder offers: a feature map, its pooled embedding, its input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from napari_mmsubtype.errors import ConfigurationError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Encoder(nn.Module):
    """A network that turns patches into feature maps and embeddings.

    The embedding is the plain average of the feature map over its cells, so whatever is
    linear in the embedding can be drawn on the map exactly. Subclasses keep the network
    in ``body``, whose state is what weight files hold, and override ``_features`` where
    the map is not simply what ``body`` gives.

    Parameters
    ----------
    body : torch.nn.Module
        The network, as named in the weight files of its origin.
    dim : int
        Channels of the feature map; length of the embedding.
    input_size : int
        Side of the patch in pixels that the encoder is meant for.
    cell_px : int
        Stride of the feature map in input pixels.
    mean, std : tuple of float
        Red, green and blue normalization of images in 0 to 1.
    head_prefixes : tuple of str, default: ()
        Names in weight files that belong to a classifier and are left out.

    Attributes
    ----------
    name : str
        Name in the registry.
    options : dict
        What `registry.create_encoder` was given.
    origin : str
        Where its weights come from, with the commit of a hub or the name of a file;
        empty where they are random.
    hub_id : str
        Repository of Hugging Face that its weights are published in, where known.
    cells : int
        Rows, and columns, of the feature map of one patch of ``input_size``; they are
        spread evenly over the patch.
    """

    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        body: nn.Module,
        *,
        dim: int,
        input_size: int,
        cell_px: int,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        head_prefixes: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.options: dict[str, Any] = {}
        self.origin = ""
        self.hub_id = ""
        self.body = body
        self.dim = dim
        self.input_size = input_size
        self.cell_px = cell_px
        self.cells = input_size // cell_px
        self.mean = mean
        self.std = std
        self.head_prefixes = head_prefixes
        # Not persistent: they are facts of the architecture, not weights, and foreign
        # weight files do not hold them.
        self.register_buffer("_mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), False)
        self.register_buffer("_std", 255 * torch.tensor(std).view(1, 3, 1, 1), False)

    def feature_map(self, images: Tensor) -> Tensor:
        """Compute the last spatial features.

        Parameters
        ----------
        images : Tensor of float, shape (n, 3, y, x)
            Normalized images.

        Returns
        -------
        Tensor of float, shape (n, dim, h, w)
            Features of each cell.
        """
        return self._features(images)

    def _features(self, images: Tensor) -> Tensor:
        """Run the network up to its last map."""
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Compute embeddings.

        Parameters
        ----------
        images : Tensor of float, shape (n, 3, y, x)
            Normalized images.

        Returns
        -------
        Tensor of float, shape (n, dim)
            Average of the feature map over its cells.
        """
        return self.feature_map(images).mean(dim=(2, 3))

    def translate_weights(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the tensors of a weight file the names they have in ``body``.

        Parameters
        ----------
        state : dict of str to Tensor
            As read, without the classifier.

        Returns
        -------
        dict of str to Tensor
            The same here; encoders with weights of foreign layouts override this.
        """
        return state

    def backbone(self) -> list[nn.Parameter]:
        """Give the weights that may come pretrained, as a training may slow them.

        Returns
        -------
        list of torch.nn.Parameter
            All of them here; encoders with layers of their own leave those out.
        """
        return list(self.parameters())

    def parts(self) -> dict[str, Encoder]:
        """Give the networks within that have weight files of their own.

        Returns
        -------
        dict of str to Encoder
            By the name that a mapping of weights gives them; none here.
        """
        return {}

    def normalize(self, patches: Tensor) -> Tensor:
        """Turn pixels into what the network takes.

        Parameters
        ----------
        patches : Tensor of uint8, shape (n, y, x, 3)
            Red, green and blue, 0 to 255, on any device.

        Returns
        -------
        Tensor of float32, shape (n, 3, y, x)
            Normalized images on the device of the encoder.

        Raises
        ------
        ValueError
            If the array is not a batch of RGB images.
        """
        if patches.ndim != 4 or patches.shape[-1] != 3:
            msg = (
                f"patches must have shape (n, y, x, 3), found {tuple(patches.shape)}; "
                "drop the alpha channel and stack single patches"
            )
            raise ValueError(msg)
        count, height, width, _ = patches.shape
        # Row by row, as the pixels lie: a tenth of the time of color by color.
        mean, std = (row.view(3).repeat(width) for row in (self._mean, self._std))
        rows = patches.to(mean.device).reshape(count, height, 3 * width)
        images = rows.to(mean.dtype, copy=True).sub_(mean).div_(std)
        return images.view(count, height, width, 3).permute(0, 3, 1, 2)


def require_multiple(input_size: int, step: int, encoder: str) -> int:
    """Check that an input size suits an encoder.

    Parameters
    ----------
    input_size : int
        Side of the patch in pixels.
    step : int
        The size must be a positive multiple of this.
    encoder : str
        Name for the message.

    Returns
    -------
    int
        The input size.

    Raises
    ------
    ConfigurationError
        If the size is not such a multiple.
    """
    if input_size < step or input_size % step:
        lower = max(input_size // step, 1) * step
        msg = (
            f"{encoder} takes square patches whose side is a multiple of {step} px, "
            f"found {input_size} px; use for example {lower} or {lower + step}"
        )
        raise ConfigurationError(msg)
    return input_size
