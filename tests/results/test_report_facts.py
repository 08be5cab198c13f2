import numpy as np
import pytest
import yaml

from builders.results import make_prediction, make_result
from builders.stores import attributes, begin_store
from napari_mmsubtype.core.records import ModalityReport
from napari_mmsubtype.results.report_facts import coverage_facts, report_facts
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


NOTES = (
    "comma-separated, rna (64 known genes), samples in rows (barcodes)",
    "unit z-score (68% negative)",
)


def test_findings_come_with_what_spoke_for_them():
    facts = coverage_facts(
        ModalityReport(
            "rna",
            True,
            sample="TCGA-E2-A14V-01A",
            unit="z-score",
            notes=NOTES,
            source="/data/rna.csv.gz",
        ),
        "elsewhere.csv",
        least=0.3,
    )
    assert facts.evidence == (
        ("modality", "RNA", "64 known genes"),
        ("unit", "z-score", "68% negative"),
        ("samples in", "rows", "barcodes"),
    )
    assert facts.sample == "TCGA-E2-A14V-01A, primary solid tumour"
    assert (facts.file, facts.file_name) == ("/data/rna.csv.gz", "rna.csv.gz")
    assert (facts.name, facts.title, facts.least) == ("RNA", "RNA", 0.3)


def test_records_of_older_versions_take_the_file_from_the_request():
    facts = coverage_facts(ModalityReport("clinical", True, unit="raw"), "c.tsv")
    assert facts.file == "c.tsv"
    assert facts.title == "Clinical"
    assert facts.sample == ""
    # Clinical tables have no unit worth telling.
    assert facts.evidence == (("modality", "clinical", ""),)


def test_tables_of_a_result_are_its_reports(facts):
    assert [table.report for table in facts.tables] == list(
        make_prediction().modalities
    )
    assert facts.tables[0].file == "rna.csv"
