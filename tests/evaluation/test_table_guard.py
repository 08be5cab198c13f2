from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import betabinom

from builders.cohorts import pattern_rows
from napari_mmsubtype.core.trust import TYPICAL, UNLIKE
from napari_mmsubtype.evaluation.metrics import binary_auc
from napari_mmsubtype.evaluation.table_guard import TableGuard, fit_table_guard

N = 200
NAMES = [f"GENE{i}" for i in range(60)]


@pytest.fixture(scope="module")
def guard() -> TableGuard:
    return fit_table_guard(pattern_rows(N))


def judged(guard: TableGuard, rows: np.ndarray) -> list:
    return [guard.judge("rna", row, NAMES) for row in rows]


def test_held_out_patients_pass_at_the_nominal_rate() -> None:
    fresh, repeats = 100, 20
    odd = 0
    for seed in range(repeats):
        guard = fit_table_guard(pattern_rows(N, seed=seed))
        found = judged(guard, pattern_rows(fresh, seed=1000 + seed))
        odd += sum(finding.verdict != TYPICAL for finding in found)
    # 5 % of 201 patients: 10 places among 200 training patients.
    law = betabinom(fresh, 10, N + 1 - 10)
    error = (odd / repeats - law.mean()) / (law.std() / np.sqrt(repeats))
    assert abs(error) < 3.5


SHIFTS = {
    "another unit": lambda rows, rng: 3 * rows + 2,
    "permuted features": lambda rows, rng: np.stack([rng.permutation(r) for r in rows]),
    "shrunk": lambda rows, rng: 0.3 * rows,
    "one feature far out": lambda rows, rng: rows + 12 * np.eye(60)[7],
    "all at the mean": lambda rows, rng: 0 * rows,
}


@pytest.mark.parametrize("kind", SHIFTS)
def test_shifted_tables_are_caught(guard, kind) -> None:
    rng = np.random.default_rng(4)
    usual = pattern_rows(100, seed=50)
    shifted = SHIFTS[kind](pattern_rows(100, seed=51), rng)
    scores = guard.scale.score(guard.space.distances(np.concatenate([usual, shifted])))
    assert binary_auc(np.repeat([0, 1], 100), scores) > 0.95
    verdicts = [finding.verdict for finding in judged(guard, shifted)]
    assert verdicts.count(UNLIKE) > 60


def test_reasons_name_what_sticks_out(guard) -> None:
    row = pattern_rows(1, seed=60)[0]
    lone = row.copy()
    lone[7] += 12
    assert any("GENE7 +" in text for text in guard.judge("rna", lone, NAMES).reasons)
    scaled = guard.judge("rna", 5 * row, NAMES)
    assert "features are outside the range of 99 %" in scaled.reasons[0]
    mixed = guard.judge("rna", np.random.default_rng(1).permutation(1.2 * row), NAMES)
    assert any("go together" in text for text in mixed.reasons)
    flat = guard.judge("rna", 0 * row, NAMES)
    assert any("vary less" in text for text in flat.reasons)
    assert guard.judge("rna", row, NAMES).reasons == ()


def test_a_known_pattern_that_is_too_strong_is_called_so() -> None:
    rows = pattern_rows(N)
    guard = fit_table_guard(rows)
    wide = replace(guard, low=guard.low - 100, high=guard.high + 100)
    direction = guard.space.basis[0] * guard.space.scale
    far = pattern_rows(1, seed=61)[0] + 30 * direction
    assert "a known pattern of features, but stronger than in training" in (
        wide.judge("rna", far, NAMES).reasons
    )


def test_finding_counts_training_patients(guard) -> None:
    finding = guard.judge("rna", 5 * pattern_rows(1, seed=60)[0], NAMES)
    assert (finding.below, finding.n, finding.percentile) == (N, N, 100.0)
    assert finding.modality == "rna"


def test_round_trip_gives_the_same_findings(guard) -> None:
    again = TableGuard.from_arrays(guard.to_arrays())
    rows = np.concatenate([pattern_rows(20, seed=3), 2 * pattern_rows(5, seed=4)])
    for first, second in zip(judged(guard, rows), judged(again, rows), strict=True):
        assert first.verdict == second.verdict
        assert abs(first.below - second.below) <= 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("low", None, "lacks 'low'"),
        ("high", np.zeros(3), "does not fit together"),
        ("center", np.zeros(3), "does not describe training patients"),
    ],
)
def test_damaged_arrays_are_refused(guard, name, value, message) -> None:
    arrays = guard.to_arrays()
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    with pytest.raises(ValueError, match=message):
        TableGuard.from_arrays(arrays)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="too few for a guard"):
        fit_table_guard(pattern_rows(10))
