"""How fast patches are being finished, and how long the rest will take."""

from __future__ import annotations

import time

from napari_mmsubtype.core.progress import Progress

_PAUSE_S = 1.0


class Meter:
    """Patches per second and the time left, as progress events.

    Parameters
    ----------
    stage : str
        Stage of the events.
    total : int
        Patches altogether.
    done : int
        Patches finished before this run.
    """

    def __init__(self, stage: str, total: int, done: int) -> None:
        self.stage = stage
        self.total = total
        self.done = done
        self._before = done
        self._start = self._told = time.perf_counter()

    def advance(self, count: int) -> Progress:
        """Count finished patches.

        Parameters
        ----------
        count : int
            How many were just finished.

        Returns
        -------
        Progress
            With rate and time left as its message.
        """
        self.done = min(self.done + count, self.total)
        self._told = time.perf_counter()
        seconds = max(self._told - self._start, 1e-9)
        rate = (self.done - self._before) / seconds
        left = round((self.total - self.done) / rate) if rate else 0
        eta = f"{left // 60}:{left % 60:02d}"
        message = f"{rate:.1f} patches/s, {eta} left"
        return Progress(self.stage, self.done, self.total, message)

    def resume(self) -> None:
        """Leave out the time since the last event, when whoever drives the job paused.

        A moment is no pause: it belongs to the work.
        """
        waited = time.perf_counter() - self._told
        if waited > _PAUSE_S:
            self._start += waited
