"""Drive a job to its end, telling whoever asks how far it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from napari_mmsubtype.errors import JobCancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_mmsubtype.core.progress import Job, Progress

T = TypeVar("T")


def run_job(job: Job[T], on_progress: Callable[[Progress], object] | None = None) -> T:
    """Run a job in the calling thread.

    Parameters
    ----------
    job : generator
        Yields `Progress`, returns its result.
    on_progress : callable, optional
        Receives every event; may raise `JobCancelled` to stop the job.

    Returns
    -------
    object
        What the job returns.

    Raises
    ------
    JobCancelled
        If ``on_progress`` asked for it; the job was closed and left its work resumable.
    """
    try:
        while True:
            event = next(job)
            if on_progress is not None:
                on_progress(event)
    except StopIteration as end:
        result: T = end.value
        return result
    except JobCancelled:
        job.close()
        raise
    except KeyboardInterrupt:
        job.close()
        msg = "stopped by the user; the same request resumes where it stopped"
        raise JobCancelled(msg) from None
