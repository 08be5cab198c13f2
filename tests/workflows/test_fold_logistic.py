"""Logistic regressions learn from training rows, choose their penalty, and answer."""

import numpy as np
import pytest

from builders.crossval import fold_data
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.fold_fusion import SkippedFoldError
from napari_mmsubtype.workflows.fold_logistic import (
    STRENGTHS,
    SimpleData,
    choose_strength,
    feature_data,
    fit_logistic,
    one_hot_sites,
)


def simple(values, labels, train, test):
    n = len(labels)
    return SimpleData(
        values=np.asarray(values, float),
        labels=np.asarray(labels),
        patients=tuple(f"p{i}" for i in range(n)),
        sites=np.array(["A"] * n),
        present=("rna",) * n,
        train=np.asarray(train),
        test=np.asarray(test),
        subset="rna",
    )


def drawn(n=60, g=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    values = rng.normal(size=(n, g))
    values[:, 0] += 3 * labels
    return values, labels


def test_what_is_there_is_found_and_told_in_rows():
    values, labels = drawn()
    frame, facts = fit_logistic(
        simple(values, labels, range(40), range(40, 60)),
        name="logistic/rna",
        classes=2,
        seed=0,
    )
    assert frame["patient_id"].tolist() == [f"p{i}" for i in range(40, 60)]
    assert (frame["predicted"] == frame["y"]).mean() >= 0.85
    np.testing.assert_allclose(frame["p0"] + frame["p1"], 1)
    assert set(frame["model"]) == {"logistic/rna"}
    assert facts["strength"] in STRENGTHS
    assert (facts["patients"], facts["training_patients"]) == (20, 40)


def test_test_rows_change_no_answer_but_their_own():
    values, labels = drawn()
    first, _ = fit_logistic(
        simple(values, labels, range(40), range(40, 60)), name="x", classes=2, seed=0
    )
    values[50:] += 9
    labels[50:] = 1 - labels[50:]
    second, _ = fit_logistic(
        simple(values, labels, range(40), range(40, 60)), name="x", classes=2, seed=0
    )
    np.testing.assert_array_equal(first["p1"][:10], second["p1"][:10])


def test_noise_is_penalized_more_than_signal():
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 2
    noise = rng.normal(size=(40, 100))
    clear = np.concatenate([noise[:, :1], labels[:, None] * 8.0], axis=1)
    weak = choose_strength(noise, labels, classes=2, seed=0)
    strong = choose_strength(clear, labels, classes=2, seed=0)
    assert weak <= 1e-3
    assert strong >= 1.0


def test_too_few_patients_and_shared_ones_are_refused():
    values, labels = drawn(10)
    with pytest.raises(SkippedFoldError, match="at least 2 of each are needed"):
        fit_logistic(
            simple(values, labels, [0, 1, 2], [5]), name="x", classes=2, seed=0
        )
    with pytest.raises(SkippedFoldError, match="no patient of the held-out fold"):
        fit_logistic(
            simple(values, labels, range(8), np.arange(0)), name="x", classes=2, seed=0
        )
    with pytest.raises(ConfigurationError, match="in both train and test"):
        fit_logistic(
            simple(values, labels, range(8), [7, 8]), name="x", classes=2, seed=0
        )


def test_numbers_of_modalities_stand_side_by_side(tmp_path):
    data = fold_data(tmp_path, n=24)
    cases = data.cases
    image = feature_data(cases, data.sites, data.train, data.test, [Modality.IMAGE])
    mean = np.asarray(cases.bags[3], float).mean(axis=0)
    np.testing.assert_allclose(image.values[3], mean)
    tables = [Modality.RNA, Modality.CLINICAL]
    both = feature_data(cases, data.sites, data.train, data.test, tables)
    widths = [cases.omics[m].shape[1] for m in tables]
    assert both.values.shape == (24, sum(widths) + 2)
    assert (both.values[:, -2:] == 0).all()
    assert both.subset == "rna+clinical"


def test_sites_that_were_not_trained_on_have_no_column():
    sites = np.array(["A", "B", "", "C", "A"])
    columns = one_hot_sites(sites, np.array([0, 1, 2]))
    np.testing.assert_array_equal(columns, [[1, 0], [0, 1], [0, 0], [0, 0], [1, 0]])
    assert one_hot_sites(sites, np.array([2])).shape == (5, 0)
