"""Everything that is wrong with a manifest, told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Faults:
    """Collects faults of a file; the same fault of several lines is told once.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, what: str, lines: int | Iterable[int] = ()) -> None:
        """Note a fault.

        Parameters
        ----------
        what : str
            What was found, what was expected.
        lines : int or iterable of int, default: ()
            Lines of the file, counted from 1; none where it is the whole file's.
        """
        found = self._lines.setdefault(what, [])
        found.extend([lines] if isinstance(lines, int) else lines)

    def raise_any(self) -> None:
        """Refuse the file if there is any fault.

        Raises
        ------
        ConfigurationError
            With every fault, in the order of their lines.
        """
        if not self._lines:
            return
        ranked = sorted(self._lines.items(), key=lambda item: min(item[1], default=0))
        told = [f"  {_place(lines)}{what}" for what, lines in ranked]
        count = "1 fault" if len(told) == 1 else f"{len(told)} faults"
        msg = "\n".join([f"manifest {str(self.path)!r} has {count}:", *told])
        raise ConfigurationError(msg)


def _place(lines: list[int]) -> str:
    """Say in which lines, joining neighbours."""
    if not lines:
        return ""
    spans: list[list[int]] = []
    for line in sorted(set(lines)):
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    named = [str(a) if a == b else f"{a}-{b}" for a, b in spans]
    word = "line" if len(named) == 1 and "-" not in named[0] else "lines"
    return f"{word} {', '.join(named)}: "
