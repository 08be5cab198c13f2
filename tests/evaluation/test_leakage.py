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
from napari_mmsubtype.evaluation.metrics import Estimate
from napari_mmsubtype.evaluation.patient_folds import patient_folds
from napari_mmsubtype.evaluation.probes import area_estimate
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


def random_label_control(leak: bool, seed: int):
    """Train on shuffled labels; a leak puts copies of test rows into training."""
    cohort = poisoned_cohort(seed=seed)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(cohort.labels)
    folds = patient_folds(shuffled, cohort.patients, 5, seed=seed)
    scores = np.empty((len(shuffled), 2))
    for fold in range(5):
        held = folds == fold
        training = np.ones_like(held) if leak else ~held
        model = KNeighborsClassifier(3).fit(cohort.rna[training], shuffled[training])
        scores[held] = model.predict_proba(cohort.rna[held])
    found = area_estimate(shuffled, scores, cohort.patients, folds, repeats=200)
    return random_label_alarm(found)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_are_known_only_where_test_rows_were_seen(seed):
    assert not random_label_control(leak=False, seed=seed).raised
    alarm = random_label_control(leak=True, seed=seed)
    assert alarm.raised
    assert "held-out patients were seen in training" in alarm.message


def test_probe_that_was_not_tried_raises_nothing():
    found = random_label_alarm(None)
    assert (found.raised, found.value) == (False, None)
    assert found.message.startswith("Not judged")


def test_few_patients_do_not_alarm_by_chance():
    # A high area whose interval reaches chance shows nothing.
    assert not random_label_alarm(Estimate(0.64, 0.45, 0.8)).raised
    assert not random_label_alarm(Estimate(0.55, 0.52, 0.58)).raised
    assert random_label_alarm(Estimate(0.64, 0.55, 0.7)).raised


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
