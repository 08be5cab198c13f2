"""What a model of the WSInfer zoo says of itself: ``config.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "config.json"
SCRIPT = "torchscript_model.pt"
CARD = "README.md"

Rgb = tuple[float, float, float]

_SPEC_VERSION = "1.0"
_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "spec_version": str,
    "architecture": str,
    "num_classes": int,
    "patch_size_pixels": int,
    "spacing_um_px": (int, float),
    "class_names": list,
    "transform": list,
}
_STEPS = ("Resize", "ToTensor", "Normalize")
_BILINEAR = ("bilinear", 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class WSInferConfig:
    """Facts about a model of the WSInfer zoo.

    Attributes
    ----------
    architecture : str
        Of the network, in the words of timm; only for the reader.
    class_names : tuple of str
        In the order of the network's answer.
    patch_size_px : int
        Side of a patch in pixels.
    mpp : float
        Microns per pixel of a patch.
    resized_px : int
        Side to which a patch is brought before the network sees it.
    mean, std : tuple of float
        Normalization of images in 0 to 1.
    licence : str
        As the model card beside it says, ``"not stated"`` without one.
    """

    architecture: str
    class_names: tuple[str, ...]
    patch_size_px: int
    mpp: float
    resized_px: int
    mean: Rgb
    std: Rgb
    licence: str


def read_wsinfer_config(folder: Path) -> WSInferConfig:
    """Read and check the configuration of a model.

    Parameters
    ----------
    folder : Path
        That holds ``config.json``.

    Returns
    -------
    WSInferConfig
        What it says.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, a fact is missing or impossible, or images are to be
        prepared in a way that is not known here.
    """
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        msg = (
            f"WSInfer configuration {str(path)!r} cannot be read ({reason}); give a "
            f"folder with {CONFIG} and {SCRIPT}, as the zoo has them"
        )
        raise ConfigurationError(msg) from err
    try:
        return _parse(content, _licence(folder / CARD))
    except ConfigurationError as err:
        msg = f"WSInfer configuration {str(path)!r}: {err}"
        raise ConfigurationError(msg) from err


def _parse(content: Any, licence: str) -> WSInferConfig:
    """Check every fact."""
    if not isinstance(content, Mapping):
        msg = f"expected an object, found {type(content).__name__}"
        raise ConfigurationError(msg)
    wrong = [
        name
        for name, kind in _REQUIRED.items()
        if not isinstance(content.get(name), kind)
        or isinstance(content.get(name), bool)
    ]
    if wrong:
        msg = (
            f"{', '.join(wrong)} missing or of the wrong type; expected "
            f"{', '.join(_REQUIRED)}"
        )
        raise ConfigurationError(msg)
    names = tuple(map(str, content["class_names"]))
    size, mpp = content["patch_size_pixels"], float(content["spacing_um_px"])
    problems = {
        f"spec_version is {content['spec_version']!r}, known is {_SPEC_VERSION!r}": (
            content["spec_version"] != _SPEC_VERSION
        ),
        f"class_names are {list(names)}, expected {content['num_classes']} different": (
            len(names) != content["num_classes"]
            or len(set(names)) < len(names)
            or not all(names)
        ),
        f"patch_size_pixels is {size} and spacing_um_px {mpp}, expected positive": (
            size < 1 or not (math.isfinite(mpp) and mpp > 0)
        ),
    }
    if found := [problem for problem, holds in problems.items() if holds]:
        raise ConfigurationError("; ".join(found))
    resized, mean, std = _read_transform(content["transform"], size)
    return WSInferConfig(
        architecture=content["architecture"],
        class_names=names,
        patch_size_px=size,
        mpp=mpp,
        resized_px=resized,
        mean=mean,
        std=std,
        licence=licence,
    )


def _read_transform(steps: Sequence[Any], size: int) -> tuple[int, Rgb, Rgb]:
    """Read how patches are prepared: resized, scaled to 0 to 1, normalized."""
    named = [step.get("name") if isinstance(step, Mapping) else step for step in steps]
    allowed = [
        [*resize, "ToTensor", *normalize]
        for resize in ([], ["Resize"])
        for normalize in ([], ["Normalize"])
    ]
    if named not in allowed:
        msg = (
            f"transform is {named}, expected ToTensor, before it perhaps Resize and "
            "after it perhaps Normalize"
        )
        raise ConfigurationError(msg)
    given = {
        step["name"]: _arguments(step.get("arguments"), step["name"]) for step in steps
    }
    resized = _read_size(given["Resize"]) if "Resize" in given else size
    if "Normalize" not in given:
        return resized, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean = _read_rgb(given["Normalize"], "mean")
    std = _read_rgb(given["Normalize"], "std")
    if min(std) <= 0:
        msg = f"Normalize divides by {list(std)}, expected positive numbers"
        raise ConfigurationError(msg)
    return resized, mean, std


def _arguments(given: Any, step: str) -> Mapping[str, Any]:
    """Check the names of a step's arguments."""
    known = {
        "Resize": {"size", "interpolation", "antialias"},
        "ToTensor": set(),
        "Normalize": {"mean", "std"},
    }[step]
    arguments = given or {}
    if not isinstance(arguments, Mapping) or not set(arguments) <= known:
        msg = f"{step} has arguments {given!r}, known are {', '.join(sorted(known))}"
        raise ConfigurationError(msg)
    return arguments


def _read_size(arguments: Mapping[str, Any]) -> int:
    """Read the side that patches are resized to."""
    size = arguments.get("size")
    sides = set(size) if isinstance(size, list) else {size}
    side = sides.pop() if len(sides) == 1 else None
    kind = arguments.get("interpolation", "bilinear")
    if (
        not isinstance(side, int)
        or isinstance(side, bool)
        or side < 1
        or kind not in _BILINEAR
        or arguments.get("antialias", True) is not True
    ):
        msg = (
            f"Resize has {dict(arguments)}, expected the side of a square and bilinear "
            "interpolation with antialiasing"
        )
        raise ConfigurationError(msg)
    return side


def _read_rgb(arguments: Mapping[str, Any], name: str) -> Rgb:
    """Read three numbers."""
    values = arguments.get(name)
    if (
        not isinstance(values, list)
        or len(values) != len("rgb")
        or not all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)
            for v in values
        )
    ):
        msg = f"Normalize has {name} {values!r}, expected three numbers"
        raise ConfigurationError(msg)
    red, green, blue = map(float, values)
    return red, green, blue


def _licence(card: Path) -> str:
    """Find the licence in the head of a model card."""
    unknown = "not stated"
    try:
        lines = card.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return unknown
    if not lines or lines[0].strip() != "---":
        return unknown
    for line in lines[1:]:
        if line.strip() == "---":
            break
        key, _, value = line.partition(":")
        if key.strip() in ("license", "licence") and value.strip():
            return value.strip().strip("'\"")
    return unknown
