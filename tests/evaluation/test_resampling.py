from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.evaluation.resampling import estimates, patient_weights


def all_weights(*args, **options):
    return np.concatenate(list(patient_weights(*args, **options)))


def test_rows_of_a_patient_are_drawn_together_and_strata_keep_their_size():
    patients = ["a", "a", "b", "c", "c", "c", "d"]
    strata = [0, 0, 0, 1, 1, 1, 1]
    weights = all_weights(patients, strata, repeats=300)
    assert weights.shape == (300, 7)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    # Two patients in each stratum, drawn twice with replacement.
    np.testing.assert_array_equal(weights[:, 0] + weights[:, 2], 2)
    np.testing.assert_array_equal(weights[:, 3] + weights[:, 6], 2)
    assert np.bincount(weights[:, 0].astype(int), minlength=3) / 300 == pytest.approx(
        [0.25, 0.5, 0.25], abs=0.08
    )


def test_draws_do_not_depend_on_how_many_come_at_once(monkeypatch):
    from napari_mmsubtype.evaluation import resampling

    patients = [f"p{i}" for i in range(40)]
    monkeypatch.setattr(resampling, "_MOST_CELLS", 40 * 7)
    sizes = [len(w) for w in patient_weights(patients, np.zeros(40), repeats=20)]
    assert sizes == [7, 7, 6]
    first = all_weights(patients, np.zeros(40), repeats=20, seed=3)
    np.testing.assert_array_equal(
        first, all_weights(patients, np.zeros(40), repeats=20, seed=3)
    )
    assert (first != all_weights(patients, np.zeros(40), repeats=20, seed=4)).any()


def test_interval_of_a_mean_is_the_one_of_the_central_limit():
    values = np.random.default_rng(0).normal(3, 2, 400)
    patients = [f"p{i}" for i in range(400)]

    def sweep(weights):
        return {"mean": weights @ values / weights.sum(axis=1)}

    found = estimates(sweep, patients, np.zeros(400), repeats=4000)["mean"]
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


def test_copies_of_rows_do_not_narrow_the_interval():
    values = np.random.default_rng(1).normal(size=50)

    def width(times):
        rows = np.repeat(values, times)

        def sweep(weights):
            return {"mean": weights @ rows / weights.sum(axis=1)}

        patients = np.repeat([f"p{i:02d}" for i in range(50)], times).tolist()
        found = estimates(sweep, patients, np.zeros(len(rows)), repeats=500)["mean"]
        return found.high - found.low

    assert width(5) == pytest.approx(width(1))


def test_what_cannot_be_computed_has_no_estimate():
    def sweep(weights):
        nothing = np.full(len(weights), np.nan)
        sometimes = np.where(weights[:, 0] > 0, 1.0, np.nan)
        return {"never": nothing, "sometimes": sometimes}

    found = estimates(sweep, ["a", "b"], [0, 0], repeats=50)
    assert found["never"] is None
    assert (found["sometimes"].low, found["sometimes"].high) == (1.0, 1.0)


def test_rows_need_a_patient_each():
    with pytest.raises(ValueError, match="need as many patients"):
        next(patient_weights(["a"], [0, 1]))


def test_draws_of_a_biased_metric_are_moved_to_the_value():
    def sweep(weights):
        away = np.abs(weights - 1).mean(axis=1)
        return {"plain": 0.2 + away, "moved": 0.2 + away}

    patients = [f"p{i:02d}" for i in range(60)]
    found = estimates(sweep, patients, np.zeros(60), repeats=300, biased=("moved",))
    plain, moved = found["plain"], found["moved"]
    assert plain.low > plain.value
    assert moved.low < moved.value < moved.high
    assert moved.high - moved.low == pytest.approx(plain.high - plain.low)
