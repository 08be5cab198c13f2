from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch

from builders.training import make_bags, make_fusion
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.training import stored_bags
from napari_mmsubtype.training.bag_statistics import embedding_statistics
from napari_mmsubtype.training.bags import collate
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_trainer import fit_fusion, predict_logits
from napari_mmsubtype.training.stored_bags import StoredBag, store_bag, summarize_bag
from napari_mmsubtype.workflows.jobs import run_job


def table(rows: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float16)


@pytest.fixture
def parts(tmp_path):
    tables = [table(4), table(0), table(7, seed=1)]
    paths = [store_bag(tmp_path / f"{i}.npy", t) for i, t in enumerate(tables)]
    return np.concatenate(tables), StoredBag(*paths), paths


def stored(cases, folder):
    """The same cases with their bags on disk, in two files each."""
    bags = []
    for i, bag in enumerate(cases.bags):
        halves = (bag[:5], bag[5:])
        bags.append(
            StoredBag(
                *(store_bag(folder / f"{i}-{j}.npy", h) for j, h in enumerate(halves))
            )
        )
    fields = {name: getattr(cases, name) for name in type(cases).__slots__}
    return type(cases)(**{**fields, "bags": bags})


def test_several_files_are_one_table(parts) -> None:
    whole, bag, _ = parts
    assert bag.shape == (11, 5)
    assert len(bag) == 11
    assert bag.dtype == np.float16
    assert np.array_equal(np.asarray(bag), whole)
    assert np.array_equal(np.asarray(bag, np.float64), whole.astype(np.float64))
    for rows in ([0, 3, 4, 10], [10, 0, 4, 4], []):
        index = np.array(rows, np.int64)
        assert np.array_equal(bag[index], whole[index])
    for cut in (slice(2, 6), slice(None), slice(8, 100), slice(None, None, 3)):
        assert np.array_equal(bag[cut], whole[cut])


def test_rows_that_do_not_exist_are_refused(parts) -> None:
    with pytest.raises(IndexError, match="0 to 10"):
        parts[1][np.array([3, 11])]
    with pytest.raises(IndexError, match="0 to 10"):
        parts[1][np.array([-1])]


def test_what_is_read_stays_when_the_file_goes(parts) -> None:
    whole, bag, paths = parts
    first = bag[:]
    for path in paths:
        path.unlink()
    assert np.array_equal(first, whole)
    with pytest.raises(StoreError, match=r"cannot be read.*embed again"):
        bag[:]


def test_a_file_that_was_changed_is_noticed(parts) -> None:
    _, bag, paths = parts
    store_bag(paths[0], table(4, seed=9))
    os.utime(paths[0], ns=(0, 0))
    with pytest.raises(StoreError, match="has changed since"):
        bag[:2]


def test_a_bag_travels_to_another_process(parts) -> None:
    assert np.array_equal(pickle.loads(pickle.dumps(parts[1]))[:], parts[0])


def test_the_summary_is_that_of_the_table_and_is_read_once(parts, monkeypatch) -> None:
    whole, bag, _ = parts
    exact = whole.astype(np.float64)
    found = bag.summary
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.square, (exact**2).mean(axis=0), rtol=1e-12)
    assert found.digest == summarize_bag(whole).digest
    monkeypatch.setattr(stored_bags, "summarize_bag", lambda _: pytest.fail("again"))
    assert bag.summary is found


def test_every_number_counts_in_the_fingerprint() -> None:
    whole = table(6)
    digests = {summarize_bag(whole).digest, summarize_bag(whole[:5]).digest}
    digests.add(summarize_bag(whole[::-1]).digest)
    digests.add(summarize_bag(whole.astype(np.float32)).digest)
    other = whole.copy()
    other[5, 4] += 0.25
    digests.add(summarize_bag(other).digest)
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no readable table"),
        (lambda path: path.write_bytes(b"\x93NUMPY"), "no readable table"),
        (lambda path: np.save(path, np.zeros(3)), r"found float64 of shape \(3,\)"),
        (lambda path: np.save(path, np.zeros((3, 2), int)), "found int64"),
        (lambda path: np.save(path, np.zeros((2, 3)).T), "must hold embeddings"),
        (
            lambda path: np.save(path, np.array([{}]), allow_pickle=True),
            "no readable table",
        ),
    ],
)
def test_other_files_are_refused(tmp_path, write, message) -> None:
    path = tmp_path / "bag.npy"
    write(path)
    with pytest.raises(StoreError, match=message):
        StoredBag(path)


def test_a_truncated_file_is_refused(tmp_path) -> None:
    path = store_bag(tmp_path / "bag.npy", table(50))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match="embed the slide again"):
        StoredBag(path)


def test_files_of_different_encoders_are_refused(tmp_path) -> None:
    paths = [store_bag(tmp_path / f"{d}.npy", table(3, dim=d)) for d in (4, 5)]
    with pytest.raises(StoreError, match="of one encoder"):
        StoredBag(*paths)
    with pytest.raises(StoreError, match="of one encoder"):
        StoredBag()


def test_what_float16_cannot_hold_is_not_written(tmp_path) -> None:
    path = tmp_path / "bag.npy"
    for bad in (np.full((2, 3), 1e6), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="not finite in float16"):
            store_bag(path, bad)
    with pytest.raises(ValueError, match=r"shape \(patches, d\)"):
        store_bag(path, np.zeros(3))
    assert list(tmp_path.iterdir()) == []


def test_training_from_disk_is_training_from_memory(tmp_path) -> None:
    memory = make_bags(24, seed=1), make_bags(8, seed=2, prefix="v")
    disk = [stored(cases, tmp_path) for cases in memory[:1]]
    (tmp_path / "v").mkdir()
    disk.append(stored(memory[1], tmp_path / "v"))
    found = [embedding_statistics(cases[0]) for cases in (memory, disk)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    config = FusionTrainingConfig(epochs=3, batch_size=8, patches_per_bag=7)
    fits = [
        run_job(fit_fusion(make_fusion(), train, held_out, config))
        for train, held_out in (memory, disk)
    ]
    assert fits[0].training_losses == fits[1].training_losses
    assert fits[0].validation_losses == fits[1].validation_losses
    logits = [predict_logits(fits[0].model, cases[1]) for cases in (memory, disk)]
    assert np.array_equal(*logits)


def test_only_what_is_drawn_is_read(tmp_path, monkeypatch) -> None:
    cases = stored(make_bags(4), tmp_path)
    cases.present[2, 0] = False
    read = []
    take = StoredBag.__getitem__

    def watch(self, rows):
        found = take(self, rows)
        read.append(len(found))
        return found

    monkeypatch.setattr(StoredBag, "__getitem__", watch)
    monkeypatch.setattr(
        StoredBag, "__array__", lambda *_, **__: pytest.fail("read a whole bag")
    )
    rng = np.random.default_rng(0)
    batch = collate(cases, range(4), patches=3, rng=rng)
    assert read == [3, 3, 3]
    assert batch.mask.sum(dim=1).tolist() == [3, 3, 0, 3]
    read.clear()
    hidden = collate(cases, range(4), patches=3, rng=rng, image=False)
    assert read == []
    assert not hidden.mask.any()


def test_averages_do_not_depend_on_the_parts_they_are_read_in() -> None:
    long = table(2500)
    exact = long.astype(np.float64)
    found = summarize_bag(long)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-11)
    np.testing.assert_allclose(found.square, (exact**2).mean(axis=0), rtol=1e-11)
    assert not summarize_bag(long[:0]).mean.any()
