import ctypes
import subprocess
import sys

import pytest

from napari_mmsubtype.inference import allocator
from napari_mmsubtype.inference.allocator import find_glibc, memory_kept


class Library:
    """Notes what the allocator is told."""

    def __init__(self):
        self.calls = []

    def mallopt(self, parameter, value):
        self.calls.append((parameter, value))
        return 1

    def malloc_trim(self, pad):
        self.calls.append(("trim", pad))
        return 1


@pytest.fixture
def library(monkeypatch):
    library = Library()
    monkeypatch.setattr(allocator, "find_glibc", lambda: library)
    return library


def test_only_the_outermost_context_sets_and_resets(library):
    with memory_kept() as outer:
        set_up = list(library.calls)
        with memory_kept() as inner:
            assert library.calls == set_up
        assert library.calls == set_up
    assert outer
    assert inner
    assert dict(set_up) == {-4: 0, -1: -1, -2: 128 << 20}
    reset = library.calls[len(set_up) :]
    assert reset[-1] == ("trim", 0)
    assert dict(reset)[-4] > 0
    assert dict(reset)[-1] > 0
    assert dict(reset)[-2] == 128 << 10


def test_it_is_reset_after_an_error_too(library):
    with pytest.raises(ValueError, match="x"), memory_kept():
        raise ValueError("x")
    assert library.calls[-1] == ("trim", 0)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_other_systems_are_left_alone(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    assert find_glibc() is None
    with memory_kept() as kept:
        assert not kept


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert find_glibc() is None


_MAPPED = """
import ctypes
from napari_mmsubtype.inference.allocator import memory_kept

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def mapped():
    # The size field before a block has bit 1 set where the block is a mapping.
    block = libc.malloc(64 << 20)
    size = ctypes.c_size_t.from_address(block - ctypes.sizeof(ctypes.c_size_t))
    found = bool(size.value & 2)
    libc.free(block)
    return found

with memory_kept():
    inside = mapped()
print(inside, mapped())
"""


@pytest.mark.skipif(find_glibc() is None, reason="the C library is not glibc")
def test_large_blocks_are_not_mapped_while_memory_is_kept():
    # In a process of its own: one that has run for long may have 64 MiB free in a row.
    done = subprocess.run(
        [sys.executable, "-c", _MAPPED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


_PAGED = """
import ctypes, resource, threading
from napari_mmsubtype.inference.allocator import memory_kept

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
SIZE = 20 << 20

def use():
    blocks = [libc.malloc(SIZE) for _ in range(5)]
    for block in blocks:
        libc.memset(block, 1, SIZE)
    for block in blocks:
        libc.free(block)

def work():
    use()
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(10):
        use()
    after = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    print((after - before) * resource.getpagesize() / (10 * 5 * SIZE))

with memory_kept():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""


@pytest.mark.skipif(find_glibc() is None, reason="the C library is not glibc")
def test_threads_page_their_memory_in_once():
    # Five blocks need two of the heaps of 64 MiB that a thread but the first has.
    done = subprocess.run(
        [sys.executable, "-c", _PAGED], capture_output=True, text=True, check=True
    )
    # How much of what was used again had to be paged in again.
    assert float(done.stdout) < 0.01
