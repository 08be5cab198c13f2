"""Read the options about poor patches from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.core.quality_spec import FLAGS, QualitySpec, checked_flags
from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_flags(text: str) -> tuple[str, ...]:
    """Read which flags leave a patch out.

    Parameters
    ----------
    text : str
        Names joined by commas, or ``all``, or ``none``.

    Returns
    -------
    tuple of str
        In the order of `quality_spec.FLAGS`.

    Raises
    ------
    ConfigurationError
        If a name is unknown.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    if names == ["all"]:
        return FLAGS
    try:
        if not names:
            msg = f"--exclude is empty; patches can be left out by: {', '.join(FLAGS)}"
            raise ConfigurationError(msg)
        return checked_flags(names)
    except ConfigurationError as err:
        msg = f"{err} (all stands for every flag, none for no flag)"
        raise ConfigurationError(msg) from err


def read_thresholds(entries: Sequence[str]) -> dict[str, float]:
    """Read thresholds of the quality flags.

    Parameters
    ----------
    entries : sequence of str
        Each ``name=value``; several may be joined by commas.

    Returns
    -------
    dict of str to float
        By name.

    Raises
    ------
    ConfigurationError
        If an entry is no such pair, or its name or value cannot be used.
    """
    thresholds = {}
    for entry in ",".join(entries).split(","):
        name, _, value = entry.partition("=")
        try:
            thresholds[name.strip()] = float(value)
        except ValueError as err:
            msg = (
                f"--quality {entry!r} is no threshold; write name=number, for example "
                "blur_ratio=0.05"
            )
            raise ConfigurationError(msg) from err
    QualitySpec.from_dict(thresholds)
    return thresholds
