from __future__ import annotations

import copy

import numpy as np
import pytest

from builders.crossvals import write_crossval
from napari_mmsubtype.results.crossval_pictures import (
    draw_confusion,
    draw_folds,
    draw_losses,
    draw_maps,
    draw_survival,
)
from napari_mmsubtype.results.crossval_record import CrossvalRecord, open_crossval


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return open_crossval(write_crossval(tmp_path_factory.mktemp("cv")))


def changed(record, **entries):
    content = copy.deepcopy(record.content)
    content |= entries
    return CrossvalRecord(record.path, content, record.predictions)


def test_every_fold_of_every_model_is_a_dot(record):
    left, right = draw_folds(record).axes
    dots = sum(len(c.get_offsets()) for c in left.collections)
    assert dots == 5 * len(record.scored())
    folds = record.models["evidence"]["folds"]
    drawn = left.collections[0].get_offsets()[:, 0]
    np.testing.assert_allclose(drawn, [fold["balanced_accuracy"] for fold in folds])
    assert left.get_yticklabels()[0].get_text() == "evidence"
    assert right.get_title("left") == "ROC-AUC, fold by fold"


def test_model_without_a_score_in_any_fold_has_no_dots(record):
    models = copy.deepcopy(record.models)
    for fold in models["evidence"]["folds"]:
        fold["roc_auc"] = None
    left, right = draw_folds(changed(record, models=models)).axes
    assert len(left.collections[0].get_offsets()) == 5
    assert len(right.collections[0].get_offsets()) == 0


def test_confusion_shows_shares_and_counts(record):
    (axis,) = draw_confusion(record, ["evidence"]).axes
    table = np.array(record.models["evidence"]["confusion"])
    share = table[0, 0] / table[0].sum()
    assert axis.texts[0].get_text() == f"{share:.0%}\n{table[0, 0]}"
    assert [t.get_text() for t in axis.get_yticklabels()] == ["Luminal", "Basal/HER2"]
    assert len(draw_confusion(record, record.scored()).axes) == 3


def test_risk_groups_are_drawn_out_of_fold(record):
    (axis,) = draw_survival(record, "evidence", "survival").axes
    rows = record.answers("evidence", "survival")
    high = rows[rows["high_risk"] == 1]
    label = axis.get_legend().get_texts()[0].get_text()
    assert label == (
        f"high risk: {len(high)} patients, {int(high['event'].sum())} events"
    )
    assert draw_survival(record, "evidence", "other") is None
    none_high = record.predictions.assign(high_risk=0.0)
    one_group = CrossvalRecord(record.path, record.content, none_high)
    assert draw_survival(one_group, "evidence", "survival") is None


def test_map_is_drawn_by_class_and_by_site(record):
    by_class, by_site = draw_maps(record).axes
    assert by_class.get_title("left") == "image, by class"
    labels = [text.get_text() for text in by_class.get_legend().get_texts()]
    assert labels == ["Luminal (60)", "Basal/HER2 (30)"]
    sites = record.predictions.drop_duplicates("patient_id")["site"].value_counts()
    found = [text.get_text() for text in by_site.get_legend().get_texts()]
    assert found == [f"{name} ({sites[name]})" for name in sorted(sites.index)]


def test_small_sites_are_joined_and_strangers_are_grey(record):
    frame = record.predictions.copy()
    order = frame["patient_id"].str[-3:].astype(int)
    frame["site"] = np.where(order < 40, "big", "s" + (order % 25).astype(str))
    frame.loc[order == 89, "site"] = ""
    spots = record.content["maps"]["image"]
    spots = {
        k: [*v, {"patients": "X", "x": 0.0, "y": 0.0}[k]] for k, v in spots.items()
    }
    content = {**record.content, "maps": {"image": spots}}
    axes = draw_maps(CrossvalRecord(record.path, content, frame)).axes
    found = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert len(found) == 10
    assert found[0] == "big (40)"
    assert found[-1] == "not known (2)"
    assert found[-2].startswith("other sites (")
    assert axes[0].get_legend().get_texts()[-1].get_text() == "not known (1)"


def test_losses_are_drawn_for_each_fold(record):
    (axis,) = draw_losses(record, "evidence").axes
    assert len(axis.lines) == 10
    kept = record.models["evidence"]["curves"]["validation"][2]
    np.testing.assert_allclose(axis.lines[7].get_ydata(), kept)


def test_nothing_is_drawn_of_nothing(record):
    empty = changed(record, models={}, maps={})
    assert draw_folds(empty) is None
    assert draw_maps(empty) is None
    assert draw_confusion(empty, []) is None
    bare = changed(record)
    bare.models["evidence"]["curves"] = {"training": [], "validation": []}
    assert draw_losses(bare, "evidence") is None
