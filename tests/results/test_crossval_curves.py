from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from builders.crossvals import write_crossval
from napari_mmsubtype.results.crossval_curves import (
    draw_ranking,
    draw_trust,
    shown_models,
)
from napari_mmsubtype.results.crossval_record import CrossvalRecord, open_crossval


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return open_crossval(write_crossval(tmp_path_factory.mktemp("cv")))


def test_presets_come_first_then_the_best_and_controls_not_at_all(record):
    first, *others = shown_models(record)
    assert first == "evidence"
    assert set(others) == {
        "logistic/rna",
        "evidence/image_only",
        "evidence/rna_only",
        "evidence/without_rna",
    }
    areas = [record.models[n]["metrics"]["roc_auc"]["value"] for n in others]
    assert areas == sorted(areas, reverse=True)


def test_curve_is_that_of_the_predictions(record):
    figure = draw_ranking(record, ["evidence", "logistic/rna"])
    assert [axis.get_title("left") for axis in figure.axes] == [
        "ROC: Basal/HER2",
        "Precision: Basal/HER2",
    ]
    first = figure.axes[0].lines[0]
    rows = record.answers("evidence")
    x, y, _ = roc_curve(rows["y"], rows["p1"], drop_intermediate=False)
    np.testing.assert_allclose(first.get_ydata(), np.interp(first.get_xdata(), x, y))
    # One band, of the first model.
    assert len(figure.axes[0].collections) == 1
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["evidence", "logistic/rna"]


def test_each_of_more_classes_has_its_curves(tmp_path):
    record = open_crossval(write_crossval(tmp_path, classes=3, patients=60))
    figure = draw_ranking(record, ["evidence"])
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles[:3] == ["ROC: Luminal", "ROC: Basal/HER2", "ROC: Normal"]
    assert len(draw_trust(record, ["evidence"]).axes) == 2


def test_trust_has_three_panels_of_two_classes(record):
    figure = draw_trust(record, shown_models(record))
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles == ["Reliability", "Error by share kept", "Net benefit: Basal/HER2"]
    risk = figure.axes[1].lines[0].get_ydata()
    wrong = record.answers("evidence")["predicted"] != record.answers("evidence")["y"]
    assert risk[-1] == pytest.approx(wrong.mean())


def test_nothing_is_drawn_of_nothing(record):
    assert draw_ranking(record, []) is None
    assert draw_trust(record, []) is None
    one_class = record.predictions[record.predictions["y"] == 0]
    only = CrossvalRecord(record.path, record.content, one_class)
    assert draw_ranking(only, ["evidence"]) is None
    assert len(draw_trust(only, ["evidence"]).axes) == 3
