import json

import numpy as np
import pytest

from builders.results import make_attributions, make_result
from napari_mmsubtype.cli.report import result_record, result_text, to_json
from napari_mmsubtype.cli.report_features import features_lines, features_record


@pytest.fixture
def result(tmp_path):
    return make_result(tmp_path, attributions=make_attributions())


def test_record_gives_the_largest_first_with_every_class(result):
    record = json.loads(to_json(result_record(result)))["attributions"]
    assert record == json.loads(json.dumps(features_record(result)))
    assert set(record["tables"]) == {"rna", "clinical"}
    assert "every value of the tables missing" in record["counted_from"]
    assert record["complete"]
    assert (record["gap"], record["limit"], record["steps"]) == (1e-4, 1e-3, 8)
    rna = record["tables"]["rna"]
    assert rna["features"] == len(rna["top"]) == 11
    first, second = rna["top"][:2]
    assert (first["name"], second["name"]) == ("GENE10", "GENE9")
    assert first["logits"] == pytest.approx([1.0, -1.0])
    assert first["against_others"] == pytest.approx(2.0)
    assert second["against_others"] == pytest.approx(-1.8)
    assert [group["name"] for group in rna["groups"]] == ["even", "odd"]
    assert rna["groups"][0]["logits"] == pytest.approx([1.2, -1.2])
    assert record["tables"]["clinical"]["groups"] == []


def test_at_most_twenty_features_of_a_table_are_listed(tmp_path):
    many = make_attributions()
    table = many.tables[0]
    object.__setattr__(table, "values", np.ones((50, 2), np.float32))
    object.__setattr__(table, "features", tuple(f"G{i}" for i in range(50)))
    record = features_record(make_result(tmp_path, attributions=many))
    assert record["tables"]["rna"]["features"] == 50
    assert len(record["tables"]["rna"]["top"]) == 20


def test_text_names_five_features_and_what_they_are_counted_from(result):
    text = result_text(result)
    features, groups, note = features_lines(result)
    assert all(line in text.splitlines() for line in (features, groups, note))
    assert features.startswith(
        "features     for Luminal, in logits: GENE10 (rna) +2.00, GENE9 (rna) -1.80"
    )
    assert features.count("(rna)") == 5
    assert "even (rna) +2.40, odd (rna) -0.80" in groups
    assert note.endswith("they sum to what the tables add")


def test_attributions_that_do_not_add_up_are_said_to_be_approximate(tmp_path):
    result = make_result(tmp_path, attributions=make_attributions(gap=0.02))
    assert not features_record(result)["complete"]
    assert features_lines(result)[-1].endswith("0.02 logits: read them as approximate")


def test_a_store_without_them_says_nothing(tmp_path):
    result = make_result(tmp_path)
    assert result_record(result)["attributions"] == {}
    assert features_lines(result) == []
