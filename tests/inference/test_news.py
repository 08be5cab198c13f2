import numpy as np
import pytest

from builders.stores import begin_store
from napari_mmsubtype.core.partial_patches import ProvisionalScores
from napari_mmsubtype.inference.news import PatchNews

RNG = np.random.default_rng(0)


@pytest.fixture
def writer(tmp_path):
    return begin_store(tmp_path)


def finish(writer, news, start, count, exact=True):
    """Write a batch as the encoder does, and tell of it."""
    status = RNG.integers(1, 3, count).astype(np.uint8)
    cells = RNG.normal(size=(count, 2, 4, 4)).astype(np.float32) if exact else None
    writer.write_patches(start, status, RNG.normal(size=(count, 5)), cells)
    return news.tell(start, status, cells)


def test_every_patch_is_told_once_with_its_evidence(writer):
    news = PatchNews(writer, exact=True)
    parts = [finish(writer, news, start, 4) for start in (0, 4, 8)]
    index = np.concatenate([part.index for part in parts])
    assert index.tolist() == list(range(12))
    cells = writer.read("patches/cell_evidence")[:12]
    scores = np.concatenate([part.scores for part in parts])
    np.testing.assert_allclose(scores, cells.sum(axis=(2, 3)), rtol=1e-5, atol=1e-5)
    status = np.concatenate([part.status for part in parts])
    np.testing.assert_array_equal(status, writer.read("patches/status")[:12])
    assert {part.store for part in parts} == {writer.path}


def test_the_first_event_of_a_resumed_run_tells_of_the_earlier_ones_too(writer):
    before = PatchNews(writer, exact=True)
    finish(writer, before, 0, 4)
    finish(writer, before, 8, 2)
    news = PatchNews(writer, exact=True)
    first = finish(writer, news, 4, 4)
    assert first.index.tolist() == list(range(10))
    cells = writer.read("patches/cell_evidence")[:10]
    np.testing.assert_allclose(first.scores, cells.sum(axis=(2, 3)), rtol=1e-5)
    # Another batch size may run some again: they are told of no more.
    second = finish(writer, news, 6, 6)
    assert second.index.tolist() == [10, 11]
    np.testing.assert_array_equal(second.status, writer.read("patches/status")[10:12])


def test_where_evidence_comes_later_only_the_status_is_told(writer):
    finish(writer, PatchNews(writer, exact=False), 0, 4, exact=False)
    news = PatchNews(writer, exact=False)
    first = finish(writer, news, 4, 4, exact=False)
    assert first.scores is None
    assert first.index.tolist() == list(range(8))


def test_the_judge_hears_of_every_patch_once(tmp_path):
    writer = begin_store(tmp_path)
    heard = []

    class Judge:
        def hear(self, index, status):
            heard.append((index, status))
            return ProvisionalScores(index, np.zeros((len(index), 2), np.float32))

    news = PatchNews(writer, exact=False, judge=Judge())
    status = np.array([1, 1, 2, 1], np.uint8)
    for start in (0, 4, 4):
        writer.write_patches(start, status, np.zeros((4, 5)), None)
        part = news.tell(start, status, None)
        np.testing.assert_array_equal(part.provisional.index, part.index)
    assert np.concatenate([index for index, _ in heard]).tolist() == list(range(8))
    assert np.concatenate([s for _, s in heard]).tolist() == status.tolist() * 2
