from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from builders.training import make_bags
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training.bag_statistics import bag_summary, embedding_statistics
from napari_mmsubtype.training.stored_bags import StoredBag, store_bag

BAGS = [make_bags(3, seed=5).bags[i][: 6 + i] for i in range(3)]


def test_embedding_statistics_weigh_cases_equally() -> None:
    cases = make_bags(2)
    cases.bags[0] = np.full((2, 6), 1.0)
    cases.bags[1] = np.full((50, 6), 3.0)
    mean, std = embedding_statistics(cases)
    assert torch.allclose(mean, torch.full((6,), 2.0))
    assert torch.allclose(std, torch.full((6,), 1.0))


def test_cases_without_image_do_not_count_in_the_statistics() -> None:
    cases = make_bags(3)
    cases.present[0, 0] = False
    assert torch.equal(
        embedding_statistics(cases)[0], embedding_statistics(cases.take([1, 2]))[0]
    )
    mean, std = embedding_statistics(cases.restricted([Modality.RNA]))
    assert (mean == 0).all()
    assert (std == 1).all()


def test_the_summary_of_a_bag_is_that_of_its_patches() -> None:
    bag = np.random.default_rng(0).normal(3, 2, (25, 5)).astype(np.float16)
    found = bag_summary(bag)
    exact = bag.astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.square, (exact**2).mean(axis=0), rtol=1e-12)
    assert found.digest == bag_summary(bag.copy()).digest


def test_what_lies_on_disk_is_read_once_for_all_folds(tmp_path, monkeypatch) -> None:
    bags = [StoredBag(store_bag(tmp_path / f"{i}.npy", b)) for i, b in enumerate(BAGS)]
    memory = replace(make_bags(3), bags=BAGS)
    disk = replace(memory, bags=bags)
    folds = [[0, 1], [1, 2], [0, 2]]
    expected = [embedding_statistics(memory.take(rows)) for rows in folds]
    found = [embedding_statistics(disk.take(rows)) for rows in folds[:2]]
    monkeypatch.setattr(StoredBag, "__getitem__", lambda *_: pytest.fail("read again"))
    found.append(embedding_statistics(disk.take(folds[2])))
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
