"""Remember between runs what was measured on this machine."""

from __future__ import annotations

import json
import logging
import math
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.slides.cache_folder import cache_folder, cache_limit

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

KEPT_DAYS = 30
"""How long a number is remembered: it may have been measured beside another program,
and without an end every later run would be slower for it."""


class KnownNumbers:
    """Positive numbers by name, in a file of the user's cache folder.

    Parameters
    ----------
    path : Path or None
        The file, which need not exist; None remembers nothing. A file that cannot be
        read counts as empty: at worst a number is found out again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @classmethod
    def of_user(cls, file_name: str) -> KnownNumbers:
        """Find a file of this user.

        Parameters
        ----------
        file_name : str
            Its name in the cache folder.

        Returns
        -------
        KnownNumbers
            One that remembers nothing where the cache is switched off.
        """
        folder = cache_folder() if cache_limit() else None
        return cls(None if folder is None else folder / file_name)

    def find(self, key: str) -> float | None:
        """Look a number up.

        Parameters
        ----------
        key : str
            What was measured, and on what.

        Returns
        -------
        float or None
            What was kept; None where nothing was, or long ago.
        """
        entry = self._read().get(key)
        return None if entry is None else entry[0]

    def keep(self, key: str, value: float) -> None:
        """Remember a number.

        Parameters
        ----------
        key : str
            What was measured, and on what.
        value : float
            More than zero.
        """
        if self._path is None:
            return
        entries = self._read()
        entries[key] = (value, time.time())
        body = {name: {"value": v, "time": t} for name, (v, t) in entries.items()}
        draft = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex[:8]}")
        try:
            draft.write_text(json.dumps(body, indent=1), encoding="utf-8")
            draft.replace(self._path)
        except OSError as err:
            with suppress(OSError):
                draft.unlink()
            logger.warning("measured value not remembered in %s: %s", self._path, err)

    def _read(self) -> dict[str, tuple[float, float]]:
        """Read what can be read and is not too old."""
        if self._path is None:
            return {}
        try:
            body: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as err:
            logger.warning("%s cannot be read and is made anew: %s", self._path, err)
            return {}
        oldest = time.time() - KEPT_DAYS * 86_400
        entries = body.items() if isinstance(body, dict) else ()
        return {
            key: (entry["value"], entry["time"])
            for key, entry in entries
            if _is_sound(entry) and entry["time"] >= oldest
        }


def _is_sound(entry: Any) -> bool:
    """Check an entry of a file that anyone may have changed."""
    if not isinstance(entry, dict):
        return False
    value = entry.get("value")
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value > 0
        and isinstance(entry.get("time"), int | float)
    )


__all__ = ["KEPT_DAYS", "KnownNumbers"]
