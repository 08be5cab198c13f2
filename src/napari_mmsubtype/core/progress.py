"""The events that a job yields while it works."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come.

    Attributes
    ----------
    stage : str
        What is being done, for example ``"patches"``.
    done, total : int
        Units finished and units altogether; ``total == 0`` means unknown.
    message : str
        A line for the user, for example the rate and the time left.
    partial : object or None
        A result so far that a viewer may show, or None.
    """

    stage: str
    done: int = 0
    total: int = 0
    message: str = ""
    partial: Any = None


ResultT = TypeVar("ResultT")
Job = Generator[Progress, None, ResultT]
"""A use case: yields `Progress`, returns its result, stops cleanly when closed."""
