from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.training import DIM, make_answers, make_bags, make_encoder
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training.bags import (
    BagSet,
    collate,
    embed_patches,
    embed_slide,
    read_patches,
)


class ArraySource:
    def __init__(self, patches: np.ndarray) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def read(self, index: int) -> np.ndarray:
        return self.patches[index]


def random_patches(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)


def test_collate_pads_and_masks_short_bags() -> None:
    cases = make_bags(3)
    cases.bags[1] = cases.bags[1][:5]
    batch = collate(cases, [1, 0])
    assert batch.bag.shape == (2, 12, DIM)
    assert batch.mask.sum(dim=1).tolist() == [5, 12]
    assert (batch.bag[~batch.mask] == 0).all()
    assert np.array_equal(batch.bag[0, :5].numpy(), cases.bags[1].astype(np.float32))
    assert batch.labels.tolist() == cases.labels[[1, 0]].tolist()


def test_collate_draws_distinct_patches_of_the_bag() -> None:
    cases = make_bags(1)
    rng = np.random.default_rng(0)
    batch = collate(cases, [0], patches=7, rng=rng)
    rows = {tuple(r) for r in batch.bag[0].numpy()}
    assert len(rows) == 7
    assert rows <= {tuple(r) for r in cases.bags[0].astype(np.float32)}
    again = collate(cases, [0], patches=7, rng=rng)
    assert not torch.equal(batch.bag, again.bag)


def test_collate_needs_a_generator_to_draw() -> None:
    with pytest.raises(ValueError, match="give rng"):
        collate(make_bags(1), [0], patches=3)


def test_values_of_absent_omics_do_not_leak() -> None:
    cases = make_bags(2)
    cases.omics[Modality.RNA][0] = np.nan
    cases.present[0, 1] = False
    batch = collate(cases, [0, 1])
    assert (batch.omics[Modality.RNA][0] == 0).all()
    assert batch.present.tolist() == [[True, False], [True, True]]


def test_case_without_slide_has_an_empty_bag() -> None:
    cases = make_bags(2)
    hidden = cases.restricted([Modality.RNA])
    bags = [np.empty((0, DIM), np.float16), cases.bags[1]]
    lone = BagSet(
        hidden.patients,
        hidden.labels,
        bags,
        hidden.omics,
        hidden.present,
        hidden.modalities,
    )
    batch = collate(lone, [0])
    assert batch.bag.shape == (1, 1, DIM)
    assert not batch.mask.any()


def test_targets_follow_their_cases() -> None:
    cases = make_answers(5)
    part = cases.take([3, 1]).restricted([Modality.RNA])
    batch = collate(part, [1, 0])
    assert set(batch.targets) == {"stage", "risk", "survival"}
    for name, values in cases.targets.items():
        expected = torch.from_numpy(values[[1, 3]]).float()
        assert torch.equal(batch.targets[name], expected)


def test_take_keeps_rows_together() -> None:
    cases = make_bags(5)
    part = cases.take([3, 1])
    assert part.patients == ("p3", "p1")
    assert part.bags[0] is cases.bags[3]
    assert np.array_equal(part.omics[Modality.RNA], cases.omics[Modality.RNA][[3, 1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(2, np.int64)}, "as many rows"),
        ({"targets": {"stage": np.zeros(2)}}, r"as many rows.*'stage': 2"),
        ({"modalities": (Modality.RNA, Modality.IMAGE)}, "modalities must be"),
        ({"present": np.zeros((3, 2), bool)}, "have none"),
        ({"bags": [np.empty((0, DIM))] * 3}, "empty bag"),
    ],
)
def test_inconsistent_cohorts_are_refused(change: dict, message: str) -> None:
    cases = make_bags(3)
    fields = {name: getattr(cases, name) for name in BagSet.__slots__}
    with pytest.raises(ValueError, match=message):
        BagSet(**{**fields, **change})


def test_hiding_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="have none"):
        make_bags(2).restricted([Modality.CLINICAL])


def test_slide_embedding_does_not_depend_on_the_batch() -> None:
    encoder = make_encoder().eval()
    patches = random_patches(11)
    whole = embed_patches(encoder, patches)
    by_four = embed_slide(encoder, ArraySource(patches), batch_size=4)
    assert whole.dtype == np.float16
    assert whole.shape == (11, 5)
    assert np.array_equal(whole, by_four)


def test_embedding_is_the_mean_of_the_feature_map() -> None:
    encoder = make_encoder().eval()
    patches = random_patches(2)
    with torch.no_grad():
        features = encoder.feature_map(encoder.normalize(torch.from_numpy(patches)))
    assert np.allclose(
        embed_patches(encoder, patches), features.mean(dim=(2, 3)), atol=1e-3
    )


def test_slide_without_patches_has_an_empty_bag() -> None:
    assert embed_slide(make_encoder(), ArraySource(random_patches(0))).shape == (0, 5)


def test_patches_are_read_in_the_order_asked_for() -> None:
    patches = random_patches(4)
    got = read_patches(ArraySource(patches), [2, 0])
    assert np.array_equal(got, patches[[2, 0]])
