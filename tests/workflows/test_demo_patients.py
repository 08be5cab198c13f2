from __future__ import annotations

import threading
import time
from collections import Counter

import numpy as np
import pytest

from builders.training import make_encoder
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.omics.synthetic import synthetic_cohort
from napari_mmsubtype.slides.synthetic import (
    PHENOTYPES,
    parse_address,
    phenotype_mask,
    render_region,
)
from napari_mmsubtype.workflows.demo_patients import (
    RenderedPatches,
    cell_shares,
    encode_patches,
    fit_tables,
    make_bag_set,
    map_ahead,
    render_patches,
    split_patients,
)

ADDRESS = "synthetic:seed=4,size=640,basal=0.5"
PATCH = PatchSpec(size_px=128, mpp=0.5, stride_px=128, min_tissue=0.5)


def test_split_is_disjoint_complete_and_stratified() -> None:
    labels = np.array([0] * 40 + [1] * 20)
    split = split_patients(labels, validation=0.2, test=0.25, seed=1)
    parts = (split.train, split.validation, split.test)
    assert sorted(sum(parts, ())) == list(range(60))
    assert [len(p) for p in parts] == [33, 12, 15]
    assert [Counter(labels[list(p)].tolist())[1] for p in parts] == [11, 4, 5]
    assert split == split_patients(labels, validation=0.2, test=0.25, seed=1)
    assert split != split_patients(labels, validation=0.2, test=0.25, seed=2)


def test_split_refuses_a_class_that_cannot_be_everywhere() -> None:
    with pytest.raises(ValueError, match="class 1 are too few"):
        split_patients(np.array([0] * 20 + [1]), validation=0.2, test=0.2, seed=0)


def test_patches_are_the_slide_and_shares_are_the_mask() -> None:
    patches = render_patches(ADDRESS, PATCH)
    every = cell_shares(patches, PATCH, 16)
    assert len(patches) > 3
    assert every.shape == (len(patches), len(PHENOTYPES), 8, 8)
    assert np.allclose(every.sum(axis=1), 1, atol=1e-6)
    slide, mask = parse_address(ADDRESS), phenotype_mask(ADDRESS, 0)
    for (y, x), pixels, shares in zip(
        patches.origin, patches.pixels, every, strict=True
    ):
        box = Box(int(y), int(x), 128, 128)
        assert np.array_equal(pixels, render_region(slide, 0, box))
        window = mask[y : y + 128, x : x + 128]
        for code in PHENOTYPES.values():
            share = (window == code).mean()
            assert shares[code].mean() == pytest.approx(share, abs=1e-6)
        counts = np.bincount(window[32:48, 80:96].ravel(), minlength=len(PHENOTYPES))
        assert shares[:, 2, 5] == pytest.approx(counts / 256)


def test_shares_of_a_patch_beyond_the_border_are_glass() -> None:
    beyond = RenderedPatches(
        ADDRESS, np.array([[576, 0]]), np.zeros((1, 128, 128, 3), np.uint8)
    )
    shares = cell_shares(beyond, PATCH, 16)
    assert (shares[0, PHENOTYPES["background"], 4:] == 1).all()


def test_drawn_patches_are_some_of_all() -> None:
    every = {p.tobytes() for p in render_patches(ADDRESS, PATCH).pixels}
    some = render_patches(ADDRESS, PATCH, count=3, seed=1)
    assert len(some) == 3
    assert {p.tobytes() for p in some.pixels} < every
    again = render_patches(ADDRESS, PATCH, count=3, seed=1)
    assert np.array_equal(some.pixels, again.pixels)


def test_truth_at_another_pixel_size_is_refused() -> None:
    patches = render_patches(ADDRESS, PATCH, count=1)
    with pytest.raises(ValueError, match="ground truth"):
        cell_shares(patches, PatchSpec(128, 1.0, 128), 16)


def test_map_ahead_keeps_the_order_and_stays_little_ahead() -> None:
    running: list[int] = []
    lock = threading.Lock()

    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        with lock:
            running.append(item)
        return item * item

    got = []
    for result in map_ahead(work, range(20)):
        got.append(result)
        assert len(running) <= len(got) + 3
    assert got == [i * i for i in range(20)]


def test_map_ahead_passes_errors_on() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise OSError("unreadable")
        return item

    with pytest.raises(OSError, match="unreadable"):
        list(map_ahead(work, range(10)))


def test_embeddings_are_the_means_of_the_maps() -> None:
    encoder = make_encoder().eval()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    bag, features = encode_patches(encoder, pixels, batch_size=2)
    assert bag.shape == (5, 5)
    assert features.shape == (5, 5, 2, 2)
    assert np.allclose(bag, features.astype(np.float32).mean(axis=(2, 3)), atol=2e-3)


def test_scaling_depends_on_training_patients_only() -> None:
    cohort = synthetic_cohort(30, seed=3, slide_size=640)
    rows = list(range(20))
    first = fit_tables(cohort, rows)
    cohort.rna.iloc[20:] += 5
    cohort.methylation.iloc[20:] *= 0.5
    cohort.clinical.loc[cohort.clinical.index[20:], "age"] = 30
    second = fit_tables(cohort, rows)
    for modality, spec in first.items():
        assert spec.features.equals(second[modality].features)


def test_bag_set_scales_training_patients_to_zero_mean() -> None:
    cohort = synthetic_cohort(30, seed=3, slide_size=640)
    rows = list(range(24))
    bags = {row: np.zeros((2, 4), np.float16) for row in rows}
    cases = make_bag_set(cohort, bags, fit_tables(cohort, rows), rows)
    assert cases.modalities == tuple(Modality)
    assert cases.present.all()
    assert cases.labels.tolist() == cohort.patients["label"].iloc[rows].tolist()
    assert np.abs(cases.omics[Modality.RNA].mean(axis=0)).max() < 0.1
    assert cases.patients[0] == cohort.patients["patient_id"].iloc[0]
