"""Names and thresholds of the flags that mark poor patches."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FLAGS = ("pen", "blur", "fold", "bubble")
"""Names of the flags; the first is the lowest bit where flags are stored."""

FLAG_WORDS = {"pen": "pen", "blur": "blurred", "fold": "folded", "bubble": "bubble"}
"""How a patch with the flag is called in a sentence."""

DEFAULT_EXCLUDE = ("pen", "blur", "bubble")
"""Flags whose patches stay out of a call unless the request says otherwise."""

_ABOVE_ONE = frozenset({"mpp", "fold_ratio"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySpec:
    """Thresholds of the quality flags, in plain JSON types.

    Attributes
    ----------
    mpp : float
        Microns per pixel at which patches are judged; patches that are coarser are
        judged as they are.
    pen_share : float
        Share of a patch that must be ink to count as pen.
    ink_saturation : float
        HSV saturation, 0 to 1, from which a colorful block may be ink.
    black_value : float
        HSV value, 0 to 1, below which a block without color is black ink.
    blur_ratio : float
        Variance of the Laplacian relative to the slide's median below which a patch
        counts as blurred.
    fold_ratio : float
        Thickness relative to the slide's own (75th percentile of its patches) from
        which a block is a fold.
    fold_share : float
        Share of a patch that must be fold.
    bubble_value : float
        HSV value, 0 to 1, below which a grey block may be the rim of a bubble or the
        edge of a cover slip.
    bubble_saturation : float
        HSV saturation up to which a block counts as grey, and can be no fold.
    bubble_share : float
        Share of a patch that must be such grey.
    """

    mpp: float = 1.0
    pen_share: float = 0.1
    ink_saturation: float = 0.35
    black_value: float = 0.3
    blur_ratio: float = 0.1
    fold_ratio: float = 1.25
    fold_share: float = 0.2
    bubble_value: float = 0.75
    bubble_saturation: float = 0.1
    bubble_share: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            good = number and 0 < value < float("inf")
            if not good or (value > 1 and name not in _ABOVE_ONE):
                msg = (
                    f"quality threshold {name} = {value!r} cannot be used; give a "
                    "positive number, at most 1 unless it is mpp or fold_ratio"
                )
                raise ConfigurationError(msg)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> QualitySpec:
        """Restore thresholds that were written to JSON.

        Parameters
        ----------
        entry : mapping of str to float
            What `to_dict` gave; names left out take their defaults.

        Returns
        -------
        QualitySpec
            The thresholds.

        Raises
        ------
        ConfigurationError
            If a name is unknown or a value unusable.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(str(name) for name in set(entry) - set(known))
        if unknown:
            msg = (
                f"unknown quality threshold {unknown[0]!r}; known are: "
                f"{', '.join(known)}"
            )
            raise ConfigurationError(msg)
        return cls(**entry)

    def to_dict(self) -> dict[str, float]:
        """Give the thresholds as plain JSON types.

        Returns
        -------
        dict of str to float
            Every threshold by name.
        """
        return asdict(self)


def checked_flags(names: Iterable[str]) -> tuple[str, ...]:
    """Check names of flags and put them in their fixed order.

    Parameters
    ----------
    names : iterable of str
        Any of `FLAGS`, in any order and also twice.

    Returns
    -------
    tuple of str
        Each once, in the order of `FLAGS`.

    Raises
    ------
    ConfigurationError
        If a name is unknown.
    """
    given = [names] if isinstance(names, str) else list(names)
    for name in given:
        if name not in FLAGS:
            msg = (
                f"unknown quality flag {name!r}; patches can be left out by: "
                f"{', '.join(FLAGS)}"
            )
            raise ConfigurationError(msg)
    return tuple(name for name in FLAGS if name in given)


def flag_bits(names: Iterable[str]) -> int:
    """Give the bits under which flags are stored.

    Parameters
    ----------
    names : iterable of str
        Any of `FLAGS`.

    Returns
    -------
    int
        Their bits together.
    """
    return sum(1 << FLAGS.index(name) for name in set(names))


def flag_names(bits: int) -> tuple[str, ...]:
    """Name the flags of a patch.

    Parameters
    ----------
    bits : int
        As stored.

    Returns
    -------
    tuple of str
        In the order of `FLAGS`; empty for a good patch.
    """
    return tuple(name for place, name in enumerate(FLAGS) if bits >> place & 1)
