"""What a process that works for another needs: a private stdout, a common end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import IO

_PR_SET_PDEATHSIG = 1
_BELOW_NORMAL = 0x4000
_NICE = 5


def private_stdout() -> IO[bytes]:
    """Keep stdout for answers, away from whatever a library prints.

    Returns
    -------
    file
        What stdout was; what is printed from now on goes to stderr.
    """
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answer


def end_with_parent(parent: int) -> None:
    """See to it that this process does not outlive its parent.

    Parameters
    ----------
    parent : int
        Its process id; it keeps this one's stdin open while it lives.
    """
    # Ctrl-C in a terminal reaches both; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    threading.Thread(target=_wait_for_end, daemon=True).start()


def step_back() -> None:
    """Let a window, and whoever waits for an answer, have the processor first."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL)
    else:
        os.nice(_NICE)


def _wait_for_end() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
