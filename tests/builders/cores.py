"""A number of cores that PyTorch computes with, whatever the machine has."""

from contextlib import contextmanager

import torch


@contextmanager
def cores(count):
    """Have PyTorch use so many threads in this one, and give it back what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
