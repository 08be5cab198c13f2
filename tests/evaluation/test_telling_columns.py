from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.evaluation.telling_columns import telling_column_alarm

N = 200
LABELS = np.arange(N) % 2
PATIENTS = [f"P{i:03d}" for i in range(N)]
FOLDS = (np.arange(N) // 2) % 5


def alarm(columns, labels=LABELS):
    return telling_column_alarm(labels, columns, PATIENTS, FOLDS, repeats=50)


def test_words_of_the_class_are_found_whatever_they_are():
    found = alarm({"x": ["ja" if y else "nein" for y in LABELS]})
    assert found.raised
    assert found.value.value == 1
    assert "'x' alone tells the class" in found.message


def test_number_that_tells_in_the_middle_of_its_range_is_found():
    # Neither rising nor falling with the class: a linear model would not see it.
    rng = np.random.default_rng(0)
    values = np.where(LABELS, rng.uniform(4, 6, N), rng.choice([1, 9], N)) + rng.random(
        N
    )
    assert alarm({"dose": values.tolist()}).raised


def test_missing_cells_that_tell_the_class_are_found():
    rng = np.random.default_rng(1)
    values = [v if y else None for v, y in zip(rng.normal(size=N), LABELS, strict=True)]
    assert alarm({"days_to_event": values}).raised


def test_identifier_tells_nothing_of_patients_not_seen():
    found = alarm({"id": [f"{y}-{p}" for y, p in zip(LABELS, PATIENTS, strict=True)]})
    assert not found.raised
    assert found.value.value == pytest.approx(0.5, abs=0.05)


def test_useful_column_is_named_but_does_not_alarm():
    rng = np.random.default_rng(2)
    useful = rng.normal(LABELS * 1.0, 1).tolist()
    found = alarm({"noise": rng.normal(size=N).tolist(), "er_percent": useful})
    assert not found.raised
    assert "'er_percent' tells most" in found.message


def test_every_telling_column_is_named_the_worst_first():
    worse = ["a" if y else "b" for y in LABELS]
    bad = list(worse)
    bad[3] = bad[4] = "a"
    found = alarm({"bad": bad, "worse": worse, "noise": [1.0] * N})
    assert "'worse', 'bad' alone" in found.message


def test_no_columns_are_no_alarm():
    found = alarm({})
    assert (found.raised, found.value) == (False, None)


def test_columns_need_a_value_per_row():
    with pytest.raises(ValueError, match="'x' has 2"):
        alarm({"x": [1, 2]})
