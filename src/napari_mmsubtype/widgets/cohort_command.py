"""Write a training or a cross-validation as the command that does the same."""

from __future__ import annotations

import os
import shlex
import subprocess
from enum import StrEnum
from typing import TYPE_CHECKING

from napari_mmsubtype.workflows.cohort_request import command_words

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
    words = command_words(task, request)
    # A Windows shell reads other quotes than a POSIX one.
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
