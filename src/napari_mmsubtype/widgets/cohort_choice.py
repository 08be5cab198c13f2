"""What the panel Train and cross-validate asks for, and the same as a command."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.widgets.command_line import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Mapping


class CohortTask(StrEnum):
    """What is to be done with a cohort."""

    CROSSVAL = "crossval"
    TRAIN = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortChoice:
    """A training or a cross-validation, as a form shows it.

    It names files and settings only; what they hold is read in a worker.

    Attributes
    ----------
    task : CohortTask
        Cross-validate, or train one model on all patients.
    manifest : str
        Path of the CSV.
    presets : tuple of str
        Names or files; exactly one to train.
    out : str
        Folder that receives everything.
    tables : mapping of Modality to str
        Tables of the whole cohort.
    overrides : tuple of str
        Settings to change, such as ``fusion_training.epochs=10``.
    embeddings : str or None
        Folder in which slides are or will be embedded; one in ``out`` if None.
    device : str
        As `analyze`.
    """

    task: CohortTask
    manifest: str
    presets: tuple[str, ...]
    out: str
    tables: Mapping[Modality, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    embeddings: str | None = None
    device: str = "auto"


def cohort_command(choice: CohortChoice) -> str:
    """Write a choice as one line for a terminal.

    Parameters
    ----------
    choice : CohortChoice
        What is asked.

    Returns
    -------
    str
        Quoted for the shell of this operating system.
    """
    words = [PROGRAM, str(choice.task), choice.manifest]
    for preset in choice.presets:
        words += ["--preset", preset]
    for modality, path in choice.tables.items():
        words += [f"--{modality}", path]
    for override in choice.overrides:
        words += ["--set", override]
    if choice.embeddings is not None:
        words += ["--embeddings", choice.embeddings]
    if choice.device != "auto":
        words += ["--device", choice.device]
    words += ["--out", choice.out]
    # A Windows shell reads other quotes than a POSIX one.
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
