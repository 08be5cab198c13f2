from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from builders.evaluation import POISONS, poisoned_cohort
from napari_mmsubtype.evaluation.duplicate_patients import duplicate_alarm
from napari_mmsubtype.evaluation.leakage import (
    missingness_alarm,
    random_label_alarm,
    site_alarm,
)
from napari_mmsubtype.evaluation.patient_folds import patient_folds
from napari_mmsubtype.evaluation.site_folds import site_folds
from napari_mmsubtype.evaluation.telling_columns import telling_column_alarm


def all_alarms(cohort):
    """Ask everything that can be asked before a model is trained."""
    rows = (cohort.patients, cohort.folds)
    alarms = [
        missingness_alarm(cohort.labels, cohort.present, *rows, repeats=200),
        site_alarm(cohort.labels, cohort.sites, *rows, repeats=200),
        telling_column_alarm(cohort.labels, cohort.columns, *rows, repeats=200),
        duplicate_alarm(cohort.patients, {"rna": cohort.rna}, cohort.columns),
    ]
    return {alarm.name: alarm for alarm in alarms}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("poison", ["", *POISONS])
@pytest.mark.parametrize("seed", range(4))
def test_each_poison_raises_its_own_alarm_and_no_other(poison, seed, classes):
    alarms = all_alarms(poisoned_cohort(poison, seed=seed, classes=classes))
    raised = {name for name, alarm in alarms.items() if alarm.raised}
    assert raised == ({poison} if poison else set())
    for alarm in alarms.values():
        assert json.loads(json.dumps(alarm.record()))["message"] == alarm.message
        assert alarm.message[0].isupper()


def test_folds_that_keep_sites_whole_silence_the_alarm_of_sites():
    cohort = poisoned_cohort("site")
    whole = site_folds(cohort.labels, cohort.patients, cohort.sites, 3)
    found = site_alarm(
        cohort.labels, cohort.sites, cohort.patients, whole.folds, repeats=50
    )
    assert not found.raised
    assert found.value.value == pytest.approx(0.5, abs=0.1)


def test_equal_modalities_tell_nothing():
    cohort = poisoned_cohort()
    same = np.ones((len(cohort.labels), 3))
    found = missingness_alarm(
        cohort.labels, same, cohort.patients, cohort.folds, repeats=50
    )
    assert found.value.value == pytest.approx(0.5, abs=0.05)
    assert found.message.startswith("Which modalities a patient has does not tell")


def shuffled_control(rows, seed, predict, patients=None):
    """Shuffle labels, predict each fold from the others, and judge by the shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(len(rows)) % 2)
    names = patients or [f"p{i}" for i in range(len(rows))]
    folds = rng.permutation(np.arange(len(rows)) % 5)
    scores = np.empty((len(rows), 2))
    for fold in range(5):
        held = folds == fold
        scores[held, 1] = predict(rows, labels, held)
    scores[:, 0] = -scores[:, 1]
    return random_label_alarm(labels, scores, names, folds, repeats=20, seed=seed)


def by_centers(rows, labels, train, held):
    """Say how much nearer rows are to the one class than to the other."""
    centers = [rows[train & (labels == c)].mean(axis=0) for c in (0, 1)]
    return rows[held] @ (centers[1] - centers[0])


def honest(rows, labels, held):
    return by_centers(rows, labels, ~held, held)


def chosen_outside(rows, labels, held):
    """Choose features by all labels, those of the held-out part too."""
    apart = np.abs(rows[labels == 1].mean(axis=0) - rows[labels == 0].mean(axis=0))
    return by_centers(rows[:, np.argsort(-apart)[:10]], labels, ~held, held)


def chosen_inside(rows, labels, held):
    own = labels[~held]
    apart = np.abs(
        rows[~held][own == 1].mean(axis=0) - rows[~held][own == 0].mean(axis=0)
    )
    return by_centers(rows[:, np.argsort(-apart)[:10]], labels, ~held, held)


def seen_in_training(rows, labels, held):
    """Train on a third of the held-out patients too, and remember them."""
    train = ~held
    train[np.flatnonzero(held)[::3]] = True
    model = KNeighborsClassifier(1).fit(rows[train], labels[train])
    return model.predict_proba(rows[held])[:, 1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("leak", [chosen_outside, seen_in_training])
def test_labels_of_held_out_patients_that_reach_the_training_are_noticed(leak, seed):
    size = (100, 1000) if leak is chosen_outside else (600, 20)
    rows = np.random.default_rng(seed).normal(size=size)
    alarm = shuffled_control(rows, seed, leak)
    assert alarm.raised
    assert 0.5 < alarm.limit < (0.6 if leak is seen_in_training else 0.75)
    assert "above all the choice of features" in alarm.message
    assert json.loads(json.dumps(alarm.record()))["raised"] is True


@pytest.mark.parametrize("model", [honest, chosen_inside])
def test_an_honest_procedure_raises_nothing_by_chance(model):
    raised = []
    for seed in range(60):
        # Few patients, two true groups, and correlated features: nothing is even.
        rng = np.random.default_rng(seed)
        group = np.arange(40) % 3 == 0
        rows = rng.normal(size=(40, 60)) + 2 * rng.normal(size=(40, 1)) + group[:, None]
        raised.append(shuffled_control(rows, seed, model).raised)
    assert sum(raised) <= 2


def test_true_labels_would_call_an_honest_procedure_a_leak():
    rng = np.random.default_rng(0)
    group = np.arange(100) % 2
    rows = rng.normal(size=(100, 30)) + 3 * group[:, None]
    areas = []
    for seed in range(20):
        labels = np.random.default_rng(seed).permutation(group)
        held = np.random.default_rng(seed).permutation(np.arange(100) % 5) == 0
        said = honest(rows, labels, held)
        one, other = said[group[held] == 1], said[group[held] == 0]
        areas.append((one[:, None] > other).mean())
    # Never near chance: shuffled labels point along the classes or against them.
    assert np.mean(np.abs(np.array(areas) - 0.5) > 0.3) > 0.8


def test_one_patient_under_two_names_is_seen_by_the_alarm_for_it_alone():
    half = np.random.default_rng(0).normal(size=(100, 200))
    rows = np.concatenate([half, half + 1e-6])
    names = [f"p{i}" for i in range(200)]

    def remember(rows, labels, held):
        model = KNeighborsClassifier(1).fit(rows[~held], labels[~held])
        return model.predict_proba(rows[held])[:, 1]

    # Shuffled labels of the two have nothing in common.
    assert not shuffled_control(rows, 0, remember).raised
    assert duplicate_alarm(names, {"rna": rows}).raised


def test_the_limit_is_what_labels_dealt_anew_reach():
    rng = np.random.default_rng(0)
    folds = np.arange(60) % 3
    scores = np.stack([np.zeros(60), rng.normal(size=60).round(1)], axis=1)
    areas = []
    for _ in range(400):
        labels = rng.permutation(np.arange(60) % 2)
        top = bottom = 0.0
        for fold in range(3):
            said, member = scores[folds == fold, 1], labels[folds == fold] == 1
            gaps = said[member][:, None] - said[~member]
            top += ((gaps > 0) + 0.5 * (gaps == 0)).sum()
            bottom += gaps.size
        areas.append(top / bottom)
    names = [str(i) for i in range(60)]
    labels = np.arange(60) // 3 % 2
    alarm = random_label_alarm(labels, scores, names, folds, repeats=2)
    expected = 0.5 + 2.576 * 2**0.5 * np.std(areas)
    assert alarm.limit == pytest.approx(expected, abs=0.02)


def test_a_control_that_was_not_trained_raises_nothing():
    found = random_label_alarm([], [], [], [])
    assert (found.raised, found.value) == (False, None)
    assert found.message.startswith("Not judged")
    found = random_label_alarm([1, 1], [[0.5, 0.5]] * 2, ["a", "b"], [0, 0])
    assert found.message.startswith("Not judged")


@pytest.mark.real_data
def test_sites_of_tcga_do_not_give_the_subtype_away(real_data):
    import pandas as pd

    table = pd.read_csv(real_data / "cohort_tcga_brca.csv")
    table = table[table["label"].notna()]
    labels = (table["label"] != "Luminal").astype(int).to_numpy()
    patients = table["patient_id"].tolist()
    folds = patient_folds(labels, patients)
    found = site_alarm(labels, table["site"].tolist(), patients, folds)
    # Hospitals differ a little in their patients: less than would be an alarm.
    assert not found.raised
    assert 0.48 < found.value.value < 0.58
