"""An encoder that gives the maps of another one by other means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.models.encoders import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn


class DerivedEncoder(Encoder):
    """An encoder made of another one, with its name and sizes.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, as prepared for its device and precision.
    body : torch.nn.Module
        What computes the feature map; it may share weights with the encoder.

    Attributes
    ----------
    plain : Encoder
        The encoder it was made of.
    """

    def __init__(self, encoder: Encoder, body: nn.Module) -> None:
        super().__init__(
            body,
            dim=encoder.dim,
            input_size=encoder.input_size,
            cell_px=encoder.cell_px,
            mean=encoder.mean,
            std=encoder.std,
        )
        self.name, self.options = encoder.name, encoder.options
        self.origin, self.hub_id = encoder.origin, encoder.hub_id
        self.cells = encoder.cells
        self.plain = encoder
        self.eval()

    def normalize(self, patches: Tensor) -> Tensor:
        """Turn pixels into what the network takes.

        Parameters
        ----------
        patches : Tensor of uint8, shape (n, y, x, 3)
            Red, green and blue, 0 to 255.

        Returns
        -------
        Tensor, shape (n, 3, y, x)
            As the plain encoder does it.
        """
        return self.plain.normalize(patches)


__all__ = ["DerivedEncoder"]
