"""Curves of a training for TensorBoard, where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import MissingDependencyError
from napari_mmsubtype.training.processes import Processes

if TYPE_CHECKING:
    from pathlib import Path

    from napari_mmsubtype.training.curves import Curves


class TrainingLog:
    """Takes the curves of a training; writes them if it has a writer.

    Parameters
    ----------
    writer : torch.utils.tensorboard.SummaryWriter or None
        None writes nothing.
    """

    def __init__(self, writer: Any | None) -> None:
        self._writer = writer

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, curves: Curves) -> None:
        """Write the last epoch.

        Parameters
        ----------
        curves : Curves
            Of at least one epoch.
        """
        if self._writer is None:
            return
        epoch = len(curves.training_losses)
        for name, values in (
            ("loss/training", curves.training_losses),
            ("loss/validation", curves.validation_losses),
            ("learning rate", curves.learning_rates),
        ):
            self._writer.add_scalar(name, values[-1], epoch)


def open_log(folder: Path | None) -> TrainingLog:
    """Open a log.

    Parameters
    ----------
    folder : Path or None
        Where TensorBoard will look; None for no log.

    Returns
    -------
    TrainingLog
        To be closed as a context; of several processes the first one writes.

    Raises
    ------
    MissingDependencyError
        If TensorBoard is not installed.
    """
    if folder is None or Processes().rank:
        return TrainingLog(None)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as err:
        msg = (
            "curves for TensorBoard need the package tensorboard; install it with "
            "'pip install napari-mmsubtype[tensorboard]', or leave the log folder out"
        )
        raise MissingDependencyError(msg) from err
    return TrainingLog(SummaryWriter(str(folder)))
