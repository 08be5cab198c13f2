from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betabinom

from builders.cohorts import bags
from napari_mmsubtype.core.trust import TYPICAL, UNLIKE
from napari_mmsubtype.evaluation.image_guard import (
    PATCHES_PER_SLIDE,
    ImageGuard,
    fit_image_guard,
)

N = 120


@pytest.fixture(scope="module")
def guard() -> ImageGuard:
    return fit_image_guard(bags(N))


def test_held_out_slides_pass_at_the_nominal_rate() -> None:
    fresh, repeats = 60, 12
    odd = 0
    for seed in range(repeats):
        guard = fit_image_guard(bags(N, seed=seed))
        found = [guard.judge(bag) for bag in bags(fresh, seed=500 + seed)]
        odd += sum(finding.verdict != TYPICAL for finding in found)
    # 5 % of 121 slides: 6 places among 120 training slides.
    law = betabinom(fresh, 6, N + 1 - 6)
    error = (odd / repeats - law.mean()) / (law.std() / np.sqrt(repeats))
    assert abs(error) < 3.5


@pytest.mark.parametrize(
    "shift",
    [lambda bag: bag + 1, lambda bag: 2 * bag, lambda bag: np.roll(bag, 1, axis=1)],
    ids=["moved", "stretched", "other features"],
)
def test_shifted_slides_are_caught(guard, shift) -> None:
    found = [guard.judge(shift(bag)) for bag in bags(40, seed=7)]
    assert sum(finding.verdict == UNLIKE for finding in found) >= 38
    assert all(finding.reasons for finding in found if finding.verdict == UNLIKE)


def test_a_few_foreign_patches_are_found_and_named(guard) -> None:
    bag = bags(1, seed=8)[0]
    bag[[3, 11, 20, 25]] += 15
    rows = np.arange(100, 130)
    finding = guard.judge(bag, rows)
    assert finding.verdict == UNLIKE
    assert set(finding.patches) <= {103, 111, 120, 125}
    assert len(finding.patches) == 3
    assert "13 % of its patches are unlike 99 %" in finding.reasons[0]
    assert guard.judge(bags(1, seed=9)[0]).patches == ()


def test_order_and_precision_of_patches_do_not_matter(guard) -> None:
    bag = bags(1, seed=10)[0]
    order = np.random.default_rng(0).permutation(len(bag))
    assert guard.judge(bag[order]) == guard.judge(bag)
    assert guard.judge(bag.astype(np.float64)) == guard.judge(bag)


def test_patch_distances_are_about_one_in_training(guard) -> None:
    found = guard.patch_distances(np.concatenate(bags(N)))
    assert found.mean() == pytest.approx(1.0, rel=0.15)
    assert (found > guard.odd).mean() == pytest.approx(0.01, abs=0.005)


def test_a_large_slide_is_judged_in_parts_and_as_one(guard) -> None:
    slide = np.concatenate(bags(300, seed=77))[:9000].astype(np.float16)
    assert len(slide) > 2 * 4096
    single = guard.patch_distances(slide)
    alone = np.concatenate([guard.patch_distances(slide[i : i + 1]) for i in (0, 8999)])
    np.testing.assert_allclose(single[[0, -1]], alone, rtol=1e-9)
    inside, beside = guard.patches.distances(slide.astype(np.float64)).T
    size, width = guard.patches.basis.shape
    whole = (size * inside + (width - size) * beside) / width
    np.testing.assert_allclose(single, whole, rtol=1e-9)


def test_large_slides_teach_no_more_than_their_share() -> None:
    small = bags(30)
    large = [np.repeat(bag, 40, axis=0) for bag in small[:1]] + small[1:]
    assert len(large[0]) > PATCHES_PER_SLIDE
    found = fit_image_guard(large).patches
    assert found.mean == pytest.approx(fit_image_guard(small).patches.mean, abs=0.15)


def test_round_trip_gives_the_same_findings(guard) -> None:
    again = ImageGuard.from_arrays(guard.to_arrays())
    for bag in bags(20, seed=11):
        first, second = guard.judge(bag), again.judge(bag)
        assert first.verdict == second.verdict
        assert abs(first.below - second.below) <= 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("odd", None, "lacks 'odd'"),
        ("slides.mean", None, "lacks mean"),
        ("patches.mean", np.zeros(3), "does not describe a subspace"),
    ],
)
def test_damaged_arrays_are_refused(guard, name, value, message) -> None:
    arrays = guard.to_arrays()
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    with pytest.raises(ValueError, match=message):
        ImageGuard.from_arrays(arrays)


def test_parts_of_different_models_are_refused(guard) -> None:
    other = fit_image_guard(bags(30, dim=5)).to_arrays()
    mixed = guard.to_arrays() | {
        name: value for name, value in other.items() if name.startswith("patches.")
    }
    with pytest.raises(ValueError, match="slides of 12 features, patches of 5"):
        ImageGuard.from_arrays(mixed)


def test_unusable_bags_are_refused() -> None:
    with pytest.raises(ValueError, match="too few for a guard"):
        fit_image_guard(bags(5))
    with pytest.raises(ValueError, match="found 1 without"):
        fit_image_guard([*bags(30), np.empty((0, 12))])
