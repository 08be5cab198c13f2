"""Jobs that need no slide and no model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from napari_mmsubtype.core.progress import Job, Progress


class FakeJob:
    """Yields events, then returns a result or raises; remembers how it was used."""

    def __init__(
        self,
        result: Any = None,
        *,
        steps: int = 3,
        error: Exception | None = None,
        pause_s: float = 0.0,
    ) -> None:
        self.result = result
        self.steps = steps
        self.error = error
        self.pause_s = pause_s
        self.yielded = 0
        self.closed_in: int | None = None
        self.ran_in: int | None = None
        self.recipe: Any = None

    def __call__(self, recipe: Any = None) -> Job[Any]:
        self.recipe = recipe
        return self._run()

    def _run(self) -> Job[Any]:
        self.ran_in = threading.get_ident()
        try:
            for done in range(self.steps):
                time.sleep(self.pause_s)
                self.yielded += 1
                yield Progress("patches", done + 1, self.steps, "12.0 patches/s")
            if self.error is not None:
                raise self.error
            return self.result
        except GeneratorExit:
            self.closed_in = threading.get_ident()
            raise


JobFactory = Callable[[Any], Job[Any]]
