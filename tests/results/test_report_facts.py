import json

import numpy as np
import pytest
import yaml

from builders.results import (
    make_attributions,
    make_prediction,
    make_result,
    with_answers,
)
from builders.stores import attributes, begin_store, complete_store
from builders.trust import BOTH, FINE, ODD
from napari_mmsubtype.results.report_facts import report_facts
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store import open_result


@pytest.fixture
def facts(tmp_path):
    result = make_result(tmp_path)
    return report_facts(result)


def test_every_subset_is_there_and_changes_are_marked(facts):
    prediction = facts.prediction
    assert len(facts.calls) == len(prediction.subsets) == 7
    rows = {row.modalities: row for row in facts.calls}
    assert next(iter(rows)) == "image + RNA + clinical"
    assert rows["image + RNA + clinical"].text == "all data"
    assert rows["image + clinical"].text == "without RNA"
    assert rows["image + clinical"].is_changed
    assert not rows["RNA"].is_changed
    assert rows["RNA"].text == ""
    for row, call in zip(facts.calls, prediction.subsets.values(), strict=True):
        assert (row.probabilities, row.logits) == (call.probabilities, call.logits)


def test_shares_are_those_of_the_record_and_the_longest_fills_its_bar(facts):
    shares = {row.name: row for row in facts.shares}
    assert [row.logits for row in facts.shares] == list(
        facts.prediction.shapley.values()
    )
    assert shares["RNA"].towards == pytest.approx(2.0)
    assert shares["RNA"].width == 1.0
    assert shares["image"].width == pytest.approx(0.4)
    assert facts.totals == facts.prediction.call.logits


def test_shares_of_nothing_have_no_length(tmp_path):
    result = make_result(tmp_path)
    result._body["prediction"]["shapley"] = {"image": [0.0, 0.0]}
    (row,) = report_facts(result).shares
    assert (row.towards, row.width) == (0.0, 0.0)


def test_request_slide_and_origin_are_told(tmp_path):
    result = open_result(begin_store(tmp_path).path)
    result._body["provenance"] |= {
        "created": "2026-01-02T03:04:05+00:00",
        "python": "3.12.1",
        "platform": "Linux x86_64",
        "packages": {"numpy": "2.1", "torch": "2.6"},
    }
    facts = report_facts(result)
    assert yaml.safe_load(facts.recipe) == attributes()["recipe"]
    slide, origin = dict(facts.slide), dict(facts.origin)
    assert slide["Slide"] == "slide.tif"
    assert slide["Size"] == "320 × 256 px (width × height)"
    assert slide["Pixel size"] == "0.5 µm/px, from the file (vendor)"
    assert "Colors" not in slide
    assert origin["Model"] == "tiny 1"
    assert origin["Model digest"] == "1" * 64
    assert origin["Request fingerprint"] == "0" * 64
    assert origin["Analysed"] == "2026-01-02T03:04:05+00:00"
    assert origin["Computed on"] == "cpu, float32, Linux x86_64"
    assert origin["Packages"] == "numpy 2.1, torch 2.6"
    assert origin["Result store"] == str(result.path)


def test_an_interrupted_analysis_says_how_far_it_came(tmp_path):
    writer = begin_store(tmp_path)
    n = len(open_result(writer.path).grid)
    status = np.array([PatchStatus.DONE, PatchStatus.UNREADABLE], np.uint8)
    writer.write_patches(0, status, np.zeros((2, 5)), np.zeros((2, 2, 4, 4)))
    facts = report_facts(open_result(writer.path))
    assert facts.prediction is None
    assert facts.calls == facts.shares == facts.tables == ()
    assert facts.patches == (f"{n} tissue patches: 1 read, {n - 2} to go, 1 unreadable")


def test_tables_of_a_result_are_its_reports(facts):
    assert [table.report for table in facts.tables] == list(
        make_prediction().modalities
    )
    assert facts.tables[0].file == "rna.csv"


def test_other_heads_and_features_are_told_where_there_are_any(tmp_path):
    plain = report_facts(make_result(tmp_path / "a"))
    assert plain.answers == plain.features == ()
    assert plain.answer_caution == plain.feature_words == ""
    result = make_result(tmp_path / "b", attributions=make_attributions(gap=0.5))
    answered = with_answers(result.prediction)
    result._body["prediction"] = json.loads(json.dumps(answered.to_dict()))
    facts = report_facts(result)
    (row,) = facts.answers
    assert row.name == "risk"
    assert row.text.startswith("2 times the risk of death")
    assert len(row.less.splitlines()) == 6
    titles = dict(facts.features)
    assert list(titles) == ["Feature", "Gene group"]
    first, second = titles["Feature"][:2]
    assert (first.name, first.table, first.width) == ("GENE10", "RNA", 1.0)
    assert first.value == pytest.approx(2.0)
    assert second.width == pytest.approx(0.9)
    assert [group.name for group in titles["Gene group"]] == ["even", "odd"]
    assert "only within 0.5 logits" in facts.feature_words


def test_trust_is_told_where_it_was_recorded(tmp_path):
    assert report_facts(make_result(tmp_path)).trust == ()
    for name, guard in (("odd", ODD), ("fine", FINE)):
        result = complete_store(tmp_path / name, conformal=BOTH, guard=guard)
        facts = report_facts(result)
        assert facts.is_unlike == (name == "odd")
        assert facts.trust[0].startswith("with 90 % coverage: Luminal or Basal/HER2")
        assert ("not promised" in facts.trust[0]) == facts.is_unlike
        assert "like the 240 of the calibration" in facts.trust[1]
        assert facts.trust[2].startswith("RNA: unlike" if facts.is_unlike else "image")
