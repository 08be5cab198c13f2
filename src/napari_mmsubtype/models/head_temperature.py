"""The temperature of a head: what its logits are divided by before they are read."""

from __future__ import annotations

import math

from napari_mmsubtype.errors import ConfigurationError


def check_temperature(temperature: float | None) -> None:
    """Check that logits can be divided by it.

    Parameters
    ----------
    temperature : float or None
        None where it was not fitted.

    Raises
    ------
    ConfigurationError
        If it is not positive and finite.
    """
    if temperature is not None and not 0 < temperature < math.inf:
        msg = f"a temperature is positive and finite, found {temperature!r}"
        raise ConfigurationError(msg)
