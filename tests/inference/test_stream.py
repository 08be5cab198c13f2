import threading
import time

import numpy as np
import pytest

from napari_mmsubtype.errors import (
    DamagedTileError,
    OutOfMemoryError,
    SlideChangedError,
)
from napari_mmsubtype.inference.stream import read_batches


class NumberedPatches:
    """Patches whose pixels are their index; some are damaged or slow."""

    def __init__(self, count, damaged=(), delay_s=0.0):
        self.count, self.damaged, self.delay_s = count, set(damaged), delay_s
        self.read_now = []
        self._lock = threading.Lock()

    def __len__(self):
        return self.count

    def read(self, index):
        with self._lock:
            self.read_now.append(index)
        time.sleep(self.delay_s)
        if index in self.damaged:
            msg = f"tile of patch {index} is damaged"
            raise DamagedTileError(msg)
        return np.full((4, 4, 3), index, np.uint8)


def batches_of(count, size):
    return [range(s, min(s + size, count)) for s in range(0, count, size)]


def test_every_patch_comes_once_and_in_order():
    source = NumberedPatches(37)
    read = list(read_batches(source, batches_of(37, 10), 4, workers=3))
    assert [batch.start for batch in read] == [0, 10, 20, 30]
    pixels = np.concatenate([batch.pixels for batch in read])
    np.testing.assert_array_equal(pixels[:, 0, 0, 0], np.arange(37))
    assert sorted(source.read_now) == list(range(37))


def test_a_damaged_patch_is_marked_and_the_rest_goes_on(caplog):
    read = list(read_batches(NumberedPatches(8, damaged=[5]), [range(8)], 4))
    assert read[0].readable.tolist() == [True] * 5 + [False] + [True] * 2
    assert (read[0].pixels[5] == 255).all()
    assert "patch 5 skipped: tile of patch 5 is damaged" in caplog.text


def test_patches_are_measured_as_they_were_read():
    def measure(patches):
        return np.stack([patches[:, 0, 0, 0], patches[:, 1, 1, 1]], axis=1) * 2.0

    source = NumberedPatches(23, damaged=[4])
    stream = read_batches(source, batches_of(23, 10), 4, measure=measure, measures=2)
    found = np.concatenate([batch.measures for batch in stream])
    expected = np.repeat(np.arange(23.0)[:, None] * 2, 2, axis=1)
    expected[4] = np.nan
    np.testing.assert_array_equal(found, expected)
    assert next(read_batches(source, [range(3)], 4)).measures.shape == (3, 0)


def test_reads_no_further_ahead_than_the_depth():
    source = NumberedPatches(1000)
    stream = read_batches(source, batches_of(1000, 10), 4, workers=2, depth=3)
    next(stream)
    time.sleep(0.1)
    assert len(source.read_now) <= 10 * (1 + 3)
    stream.close()


def test_closing_stops_the_threads():
    before = threading.active_count()
    source = NumberedPatches(1000, delay_s=0.001)
    stream = read_batches(source, batches_of(1000, 10), 4)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_an_unexpected_fault_is_not_swallowed():
    class Broken(NumberedPatches):
        def read(self, index):
            raise RuntimeError(index)

    with pytest.raises(RuntimeError):
        list(read_batches(Broken(3), [range(3)], 4))


def test_colors_change_after_measuring_and_damaged_patches_stay_white():
    def measure(patches):
        return patches[:, 0, 0, :1].astype(np.float32)

    source = NumberedPatches(23, damaged=[4])
    stream = read_batches(
        source,
        batches_of(23, 10),
        4,
        measure=measure,
        measures=1,
        transform=lambda patches: patches + 100,
    )
    batches = list(stream)
    pixels = np.concatenate([batch.pixels for batch in batches])[:, 0, 0, 0]
    measures = np.concatenate([batch.measures for batch in batches])[:, 0]
    good = np.arange(23) != 4
    np.testing.assert_array_equal(pixels[good], np.arange(23)[good] + 100)
    np.testing.assert_array_equal(measures[good], np.arange(23)[good])
    assert pixels[4] == 255


def test_a_slide_that_changed_ends_the_pass_instead_of_counting_as_damage():
    class Changing(NumberedPatches):
        def read(self, index):
            if index >= 5:
                raise SlideChangedError("slide 'a.svs' changed on disk")
            return super().read(index)

    with pytest.raises(SlideChangedError, match="changed on disk"):
        list(read_batches(Changing(20), batches_of(20, 2), 4))


class ScarceMemory(NumberedPatches):
    """Patches for which memory runs out so many times, at one of them."""

    def __init__(self, count, at, times):
        super().__init__(count)
        self.at, self.times = at, times

    def read(self, index):
        if index == self.at and self.times > 0:
            self.times -= 1
            raise MemoryError("Unable to allocate 12.0 MiB")
        return super().read(index)


@pytest.mark.parametrize(("times", "depth"), [(1, 4), (2, 2), (3, 1)])
def test_where_memory_runs_out_fewer_batches_are_read_ahead(caplog, times, depth):
    source = ScarceMemory(40, at=9, times=times)
    stream = read_batches(source, batches_of(40, 4), 4, depth=8)
    numbers = []
    for batch in stream:
        numbers.extend(batch.pixels[:, 0, 0, 0].tolist())
        assert batch.readable.all()
    assert numbers == list(range(40))
    assert source.times == 0
    assert len(caplog.messages) == times
    assert "Unable to allocate 12.0 MiB" in caplog.messages[-1]
    assert f"reading {depth} batches ahead" in caplog.messages[-1]


def test_memory_that_is_too_short_for_one_batch_is_one_clear_error():
    source = ScarceMemory(40, at=9, times=99)
    before = threading.active_count()
    with pytest.raises(OutOfMemoryError, match=r"4 patches were read \(Unable to") as e:
        list(read_batches(source, batches_of(40, 4), 4, depth=3))
    assert "close other programs, or" in str(e.value)
    assert "resumes there" in str(e.value)
    assert threading.active_count() == before


def test_no_memory_for_the_batch_itself_counts_as_well(monkeypatch):
    calls, full = [], np.full

    def scarce(shape, *args):
        if len(shape) == 4:
            calls.append(shape)
            if len(calls) in (2, 3):
                raise MemoryError
        return full(shape, *args)

    monkeypatch.setattr("napari_mmsubtype.inference.stream.np.full", scarce)
    read = list(read_batches(NumberedPatches(12), batches_of(12, 4), 4, depth=4))
    assert [batch.start for batch in read] == [0, 4, 8]
    assert np.concatenate([b.pixels for b in read])[:, 0, 0, 0].tolist() == [*range(12)]
