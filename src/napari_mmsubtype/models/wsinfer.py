"""Models of the WSInfer zoo as encoders and patch classifiers: ``wsinfer:<folder>``."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import register_encoder
from napari_mmsubtype.models.script_map import ScriptMap
from napari_mmsubtype.models.torchscript_file import load_torchscript
from napari_mmsubtype.models.wsinfer_config import (
    CONFIG,
    SCRIPT,
    WSInferConfig,
    read_wsinfer_config,
)


class WSInferEncoder(Encoder):
    """A TorchScript classifier of patches; its map is the last one before pooling.

    Its weights are those of the file and cannot be trained. Patches of the size and
    resolution that the model asks for are resized as its configuration says.

    Parameters
    ----------
    config : WSInferConfig
        What the model says of itself.
    body : ScriptMap
        The network.

    Attributes
    ----------
    config : WSInferConfig
        Classes, patch size, microns per pixel and licence.
    """

    def __init__(self, config: WSInferConfig, body: ScriptMap) -> None:
        dim, cells, _ = body.shape
        super().__init__(
            body,
            dim=dim,
            input_size=config.patch_size_px,
            cell_px=max(round(config.patch_size_px / cells), 1),
            mean=config.mean,
            std=config.std,
        )
        self.cells = cells
        self.config = config

    def normalize(self, patches: Tensor) -> Tensor:
        """Turn pixels into what the network takes.

        Parameters
        ----------
        patches : Tensor of uint8, shape (n, y, x, 3)
            Red, green and blue, 0 to 255, on any device.

        Returns
        -------
        Tensor of float32, shape (n, 3, y, x)
            Resized, normalized images on the device of the encoder.

        Raises
        ------
        ValueError
            If the array is not a batch of RGB images.
        """
        side = self.config.resized_px
        if patches.ndim == 4 and patches.shape[1:3] != (side, side):
            planes = patches.to(self._mean.device).permute(0, 3, 1, 2).float()
            planes = F.interpolate(
                planes, (side, side), mode="bilinear", antialias=True
            )
            # The pictures that the model was trained on held whole numbers.
            patches = planes.round().clamp(0, 255).permute(0, 2, 3, 1)
        return super().normalize(patches)

    def probabilities(self, patches: Tensor) -> Tensor:
        """Classify patches by the model's own classifier.

        Parameters
        ----------
        patches : Tensor of uint8, shape (n, y, x, 3)
            Red, green and blue.

        Returns
        -------
        Tensor of float, shape (n, classes)
            In the order of ``config.class_names``; rows sum to 1, but where there is
            only one class, whose chance is given.
        """
        with torch.inference_mode():
            answer: Tensor = self.body(self.normalize(patches))[1]
            if answer.shape[1] == 1:
                return torch.sigmoid(answer)
            return answer.softmax(dim=1)

    def backbone(self) -> list[nn.Parameter]:
        """Give the weights that can be trained.

        Returns
        -------
        list of torch.nn.Parameter
            None.
        """
        return []

    def _features(self, images: Tensor) -> Tensor:
        found: Tensor = self.body(images)[0]
        return found


@register_encoder("wsinfer:")
def _wsinfer(place: str, *, input_size: int | None = None) -> WSInferEncoder:
    """Make the encoder of a folder, or of the TorchScript file in it."""
    path = Path(place).expanduser()
    if not path.exists():
        msg = (
            f"there is no WSInfer model at {place!r}; give a folder with {CONFIG} and "
            f"{SCRIPT}"
        )
        raise ConfigurationError(msg)
    folder, script = (path, path / SCRIPT) if path.is_dir() else (path.parent, path)
    config = read_wsinfer_config(folder)
    if input_size not in (None, config.patch_size_px):
        msg = (
            f"the WSInfer model {place!r} takes patches of {config.patch_size_px} px "
            f"at {config.mpp:g} um/px, found {input_size} px"
        )
        raise ConfigurationError(msg)
    body = ScriptMap(load_torchscript(script), config.resized_px)
    if body.outputs != len(config.class_names):
        msg = (
            f"the WSInfer model {place!r} gives {body.outputs} values for "
            f"{len(config.class_names)} classes ({', '.join(config.class_names)}); "
            "its two files do not belong together"
        )
        raise ConfigurationError(msg)
    return WSInferEncoder(config, body)
