from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference_log_loss

from napari_mmsubtype.evaluation.calibration import (
    calibrate,
    expected_calibration_error,
    log_loss,
    patient_weights,
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


def test_every_patient_weighs_the_same() -> None:
    labels, logits = honest_rows(40)
    names = [f"P{i}" for i in range(40)]
    copies = [0] * 30 + list(range(40))  # the first patient has 31 rows
    many = log_loss(labels[copies], logits[copies], patients=[names[i] for i in copies])
    assert many == pytest.approx(log_loss(labels, logits))
    assert many != pytest.approx(log_loss(labels[copies], logits[copies]))


def test_offsets_are_added_after_the_temperature() -> None:
    found = calibrate([[2.0, 0.0]], 2.0, (0.0, 1.0))
    assert found == pytest.approx(np.array([[0.5, 0.5]]))


def test_weights_of_rows_sum_to_the_patients() -> None:
    assert patient_weights(list("aab"), 3).tolist() == [0.5, 0.5, 1.0]
    assert patient_weights(None, 2).tolist() == [1.0, 1.0]
