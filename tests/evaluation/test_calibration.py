from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference_log_loss

from napari_mmsubtype.evaluation.calibration import (
    TEMPERATURE_RANGE,
    calibrate,
    expected_calibration_error,
    fit_temperature,
    fit_temperatures,
    log_loss,
)


def honest_rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the very probabilities that the logits state."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 3))
    probabilities = calibrate(logits, 1.0)
    labels = (rng.random(n)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    return labels, logits


def test_log_loss_agrees_with_scikit_learn() -> None:
    labels, logits = honest_rows(50)
    expected = reference_log_loss(labels, calibrate(logits, 2.0), labels=[0, 1, 2])
    assert log_loss(labels, logits, 2.0) == pytest.approx(expected)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_planted_temperature_is_found(factor: float) -> None:
    labels, logits = honest_rows(20_000)
    assert fit_temperature(labels, logits * factor) == pytest.approx(factor, rel=0.05)


def test_temperature_beats_its_neighbours() -> None:
    labels, logits = honest_rows(300, seed=2)
    found = fit_temperature(labels, logits)
    best = log_loss(labels, logits, found)
    assert best < log_loss(labels, logits, found * 1.05)
    assert best < log_loss(labels, logits, found / 1.05)


def test_separable_rows_stop_at_the_lower_bound() -> None:
    found = fit_temperature([0, 1], [[1.0, 0.0], [0.0, 1.0]])
    assert found == pytest.approx(TEMPERATURE_RANGE[0], rel=1e-3)


def test_temperature_does_not_change_the_order_of_classes() -> None:
    _, logits = honest_rows(100)
    assert np.array_equal(
        np.argsort(calibrate(logits, 5.0)), np.argsort(calibrate(logits, 0.5))
    )
    assert np.allclose(calibrate(logits, 5.0).sum(axis=-1), 1)


def test_extreme_logits_stay_finite() -> None:
    assert np.isfinite(calibrate([[1e4, -1e4]], 0.25)).all()


def test_ece_of_honest_probabilities_is_small_and_of_boasting_ones_is_not() -> None:
    labels, logits = honest_rows(20_000)
    assert expected_calibration_error(labels, calibrate(logits, 1.0)) < 0.02
    assert expected_calibration_error(labels, calibrate(logits, 0.2)) > 0.1


def test_ece_closed_form() -> None:
    probabilities = np.tile([0.8, 0.2], (10, 1))
    labels = np.array([0] * 5 + [1] * 5)
    assert expected_calibration_error(labels, probabilities, bins=1) == pytest.approx(
        0.3
    )


def test_bins_hold_equal_mass() -> None:
    # Nine rows of confidence 0.6 and one of 0.99: equal-width bins would give the
    # lone row a bin; two equal-mass bins put it with four others.
    probabilities = np.array([[0.6, 0.4]] * 9 + [[0.99, 0.01]])
    labels = np.zeros(10, dtype=int)
    expected = 0.5 * 0.4 + 0.5 * (1 - (4 * 0.6 + 0.99) / 5)
    assert expected_calibration_error(labels, probabilities, bins=2) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        calibrate([[0.0, 1.0]], temperature)


@pytest.mark.parametrize("logits", [np.empty((0, 2)), [[np.inf, 0.0]], [0.0, 1.0]])
def test_unusable_logits_are_refused(logits) -> None:
    with pytest.raises(ValueError, match="finite logits"):
        fit_temperature([0], logits)


def test_every_patient_weighs_the_same() -> None:
    labels, logits = honest_rows(40)
    names = [f"P{i}" for i in range(40)]
    copies = [0] * 30 + list(range(40))  # the first patient has 31 rows
    many = log_loss(labels[copies], logits[copies], patients=[names[i] for i in copies])
    assert many == pytest.approx(log_loss(labels, logits))
    assert many != pytest.approx(log_loss(labels[copies], logits[copies]))
    found = fit_temperature(
        labels[copies], logits[copies], patients=[names[i] for i in copies]
    )
    assert found == pytest.approx(fit_temperature(labels, logits), rel=1e-4)


def test_patients_that_do_not_fit_the_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows need as many patients, found 1"):
        fit_temperature([0, 1], [[1.0, 0.0], [0.0, 1.0]], patients=["P"])


def test_each_subset_that_needs_it_finds_its_own_temperature() -> None:
    labels, logits = honest_rows(20_000)
    given = {"image+rna": logits * 0.5, "image": logits, "rna": logits * 3}
    found = fit_temperatures(labels, given, 1.0)
    assert found == {
        "image+rna": pytest.approx(0.5, rel=0.05),
        "rna": pytest.approx(3.0, rel=0.05),
    }


def test_chance_gives_no_temperature_more_often_than_one_time_in_twenty() -> None:
    taken = 0
    for seed in range(200):
        labels, logits = honest_rows(150, seed=seed)
        taken += len(fit_temperatures(labels, {"rna": logits}, 1.0))
    assert 0 < taken <= 200 * 0.05 + 4 * np.sqrt(200 * 0.05 * 0.95)


def test_copies_of_patients_give_no_more_certainty() -> None:
    labels, logits = honest_rows(60, seed=1)
    names = [f"P{i}" for i in range(60)]
    shared = 1.3 * fit_temperature(labels, logits)
    assert fit_temperatures(labels, {"rna": logits}, shared, patients=names) == {}
    many = np.tile(np.arange(60), 20)
    given = {"rna": logits[many]}
    copies = [names[i] for i in many]
    assert fit_temperatures(labels[many], given, shared, patients=copies) == {}
    assert list(fit_temperatures(labels[many], given, shared)) == ["rna"]
