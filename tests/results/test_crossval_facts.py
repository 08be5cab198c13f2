from __future__ import annotations

import copy
from pathlib import Path

import pytest

from builders.crossvals import write_crossval
from napari_mmsubtype.results.crossval_facts import (
    METRIC_NAMES,
    comparison_rows,
    headline,
    interval,
    known_metrics,
    methods_text,
    metric_rows,
    number,
    subset_rows,
)
from napari_mmsubtype.results.crossval_record import CrossvalRecord, open_crossval


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return open_crossval(write_crossval(tmp_path_factory.mktemp("cv")))


@pytest.fixture
def copied(record):
    content = copy.deepcopy(record.content)
    return CrossvalRecord(record.path, content, record.predictions)


def test_numbers_and_gaps():
    assert number(None) == "–"
    assert number(0.12345, 2) == "0.12"
    assert interval(None) == "–"
    metric = {"value": 0.9, "low": 0.8, "high": 0.95}
    assert interval(metric) == "0.900 [0.800, 0.950]"
    assert interval(metric, signed=True) == "+0.900 [+0.800, +0.950]"


def test_models_are_rows_and_the_best_is_marked(copied):
    skill = copied.models
    skill["probe/site"]["metrics"]["balanced_accuracy"]["value"] = 0.999
    skill["evidence/without_rna"]["skipped"] = "no patient has RNA"
    rows = metric_rows(copied, ["balanced_accuracy", "roc_auc"])
    assert [row["name"] for row in rows] == list(skill)
    assert [row["title"] for row in rows] == [m["title"] for m in skill.values()]
    # A probe that shines is an alarm, not the best model.
    assert [row["name"] for row in rows if row["best"]] == ["evidence"]
    cell = interval(skill["evidence"]["metrics"]["roc_auc"])
    assert rows[0]["cells"][1] == cell
    assert rows[3]["skipped"] == "no patient has RNA"
    # In a table of losses, the lowest would be best: another metric decides.
    by_loss = metric_rows(copied, ["log_loss"], "balanced_accuracy")
    assert [row["best"] for row in by_loss] == [row["best"] for row in rows]


def test_metrics_are_ordered_and_unknown_ones_kept(copied):
    copied.models["evidence"]["metrics"]["new_metric"] = None
    found = known_metrics(copied)
    assert found[:2] == ["balanced_accuracy", "roc_auc"]
    assert found[-1] == "new_metric"


def test_comparisons_claim_no_more_than_their_design(copied):
    rows = comparison_rows(copied, "evidence", "balanced_accuracy")
    assert [row.rival for row in rows] == [
        "evidence/image_only",
        "evidence/rna_only",
        "logistic/rna",
    ]
    tests = dict(rows[0].tests)
    both = ["corrected t", "Wilcoxon, exact", "permutation"]
    assert list(tests) == ["McNemar, exact", *both]
    areas = comparison_rows(copied, "evidence", "roc_auc")
    assert [name for name, _ in areas[0].tests] == ["DeLong", *both]
    assert "cannot show a difference at 0.05" in tests["Wilcoxon, exact"]
    assert comparison_rows(copied, "evidence", "f1") == []
    # Were p = 0.01 written for five folds, it would still not be believed.
    for entry in copied.content["comparisons"]:
        for test in entry["tests"]:
            p = 0.01 if test["name"] == "wilcoxon" else 0.5
            test |= {"p": p, "p_holm": p}
    rows = comparison_rows(copied, "evidence", "balanced_accuracy")
    assert not any(row.is_shown for row in rows)


def test_difference_is_believed_where_all_tests_that_can_agree(copied):
    for entry in copied.content["comparisons"]:
        for test in entry["tests"]:
            p = 0.3 if test["name"] == "wilcoxon" else 0.001
            test |= {"p": p, "p_holm": p}
            if test["name"] == "delong" and entry["baseline"] == "logistic/rna":
                test |= {"p": 0.2, "p_holm": 0.2}
    shown = [row.is_shown for row in comparison_rows(copied, "evidence", "roc_auc")]
    assert shown == [True, True, False]


def test_missing_modalities_are_ticks_the_fullest_first(record):
    rows = subset_rows(record, "evidence")
    assert [row["has"] for row in rows] == [[True, True], [True, False], [False, True]]
    full = record.models["evidence"]["subsets"]["image+rna"]["balanced_accuracy"]
    assert rows[0]["share"] == full["value"]
    assert rows[0]["cells"][0] == interval(full)


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("patient", "dealt out into 5 folds, stratified by class"),
        ("site", "5 folds of whole sites"),
        ("given", "judged in the 5 folds that the manifest gives"),
        ("test", "judged on the fixed test set"),
    ],
)
def test_methods_tell_folds_seeds_and_versions(copied, scheme, words):
    copied.content["validation"]["scheme"] = scheme
    text = " ".join(methods_text(copied))
    assert words in text
    assert "90 patients with 95 slides (Luminal 60, Basal/HER2 30)" in text
    assert "seeds 0" in text
    assert "2000 resamples of patients" in text
    assert "Python 3.12.1 on Linux x86_64: napari-mmsubtype 0.1.0, torch 2.9.0" in text


def test_methods_do_not_call_images_patients(copied):
    copied.content["validation"]["scheme"] = "image"
    text = " ".join(methods_text(copied))
    assert "90 images (Luminal 60, Basal/HER2 30) were dealt out into 5 folds" in text
    assert "the same patient was in training and test" in text
    assert "2000 resamples of images" in text
    assert "training patients" not in text


def test_methods_tell_of_encoders_that_were_trained(copied):
    assert "patch encoder" not in " ".join(methods_text(copied))
    copied.models["evidence"]["folds"][1]["encoder"] = {"epochs": 3}
    text = " ".join(methods_text(copied))
    assert "The patch encoder of evidence was trained anew in each fold" in text


def test_headline_is_of_the_first_preset(copied):
    value = copied.models["evidence"]["metrics"]["balanced_accuracy"]
    assert headline(copied).startswith(f"evidence: balanced accuracy {interval(value)}")
    for model in copied.models.values():
        model["skipped"] = "not trained yet"
    assert headline(copied) == "No model has been scored yet"


def test_the_page_names_every_metric():
    page = Path(__file__).parents[2] / "docs" / "crossval.md"
    text = page.read_text(encoding="utf-8")
    assert [name for name in METRIC_NAMES if f"`{name}`" not in text] == []
