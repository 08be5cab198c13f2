"""Errors and warnings of another process, raised here as they were there."""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Any


class ElsewhereError(Exception):
    """Where in another process an error arose: the cause of the one raised here."""

    def __str__(self) -> str:
        return f"in the process that read the table:\n\n{self.args[0]}"


def pack_error(error: BaseException) -> dict[str, Any]:
    """Describe an error in JSON types.

    Parameters
    ----------
    error : BaseException
        With its notes and its traceback.

    Returns
    -------
    dict
        For `unpack_error`.
    """
    arguments = list(error.args)
    if isinstance(error, OSError) and error.filename is not None:
        # It keeps its third argument apart.
        arguments.append(error.filename)
    return {
        "module": type(error).__module__,
        "class": type(error).__qualname__,
        "arguments": [
            item if isinstance(item, str | int | float | None) else str(item)
            for item in arguments
        ],
        "text": str(error),
        "notes": [str(note) for note in getattr(error, "__notes__", [])],
        "traceback": "".join(traceback.format_exception(error)),
    }


def unpack_error(facts: dict[str, Any]) -> Exception:
    """Make an error of the same class, message and notes.

    Parameters
    ----------
    facts : dict
        As `pack_error` gave them.

    Returns
    -------
    Exception
        A `RuntimeError` that names the class where this process does not know it.
    """
    error = _same(facts)
    for note in facts["notes"]:
        error.add_note(note)
    error.__cause__ = ElsewhereError(facts["traceback"])
    return error


def _same(facts: dict[str, Any]) -> Exception:
    """Make the error by its class, if it says the same."""
    # Only what is loaded already: a name from elsewhere imports nothing.
    kind = getattr(sys.modules.get(facts["module"]), facts["class"], None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            error = kind(*facts["arguments"])
        except TypeError:  # such as UnicodeDecodeError, which wants bytes
            error = None
        if error is not None and str(error) == facts["text"]:
            return error
    return RuntimeError(f"{facts['class']}: {facts['text']}")


def pack_warning(warning: warnings.WarningMessage) -> dict[str, Any]:
    """Describe a warning in JSON types.

    Parameters
    ----------
    warning : warnings.WarningMessage
        As it was recorded.

    Returns
    -------
    dict
        For `repeat_warning`.
    """
    return {
        "module": warning.category.__module__,
        "class": warning.category.__qualname__,
        "text": str(warning.message),
        "file": warning.filename,
        "line": warning.lineno,
    }


def repeat_warning(facts: dict[str, Any]) -> None:
    """Warn here, under the filters of this process.

    Parameters
    ----------
    facts : dict
        As `pack_warning` gave them.
    """
    kind = getattr(sys.modules.get(facts["module"]), facts["class"], UserWarning)
    warnings.warn_explicit(
        facts["text"], kind, facts["file"], facts["line"], registry=_SEEN
    )


_SEEN: dict[Any, Any] = {}
