"""Write a training or a cross-validation as the command that does the same."""

from __future__ import annotations

import os
import shlex
import subprocess
from enum import StrEnum
from typing import TYPE_CHECKING

from napari_mmsubtype.widgets.command_line import PROGRAM

if TYPE_CHECKING:
    from napari_mmsubtype.workflows.cohort_request import CohortRequest


class CohortTask(StrEnum):
    """What is to be done with a cohort: the name of the command."""

    CROSSVAL = "crossval"
    TRAIN = "train"


def cohort_command(task: CohortTask, request: CohortRequest) -> str:
    """Write a request as one line for a terminal.

    Parameters
    ----------
    task : CohortTask
        Cross-validate, or train one model on all patients.
    request : CohortRequest
        What is asked.

    Returns
    -------
    str
        Quoted for the shell of this operating system.
    """
    words = [PROGRAM, str(task), str(request.manifest)]
    for preset in request.presets:
        words += ["--preset", preset]
    for modality, path in request.tables.items():
        words += [f"--{modality}", str(path)]
    for modality, reading in request.reading.items():
        for name, value in reading.items():
            words += [f"--{modality}-{name.replace('_', '-')}", str(value)]
    for override in request.overrides:
        words += ["--set", override]
    if request.embeddings is not None:
        words += ["--embeddings", str(request.embeddings)]
    if request.mpp is not None:
        words += ["--mpp", f"{request.mpp:g}"]
    if request.device != "auto":
        words += ["--device", request.device]
    words += ["--out", str(request.out)]
    # A Windows shell reads other quotes than a POSIX one.
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
