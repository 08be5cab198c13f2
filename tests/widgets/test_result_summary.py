from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from builders.results import (
    make_attributions,
    make_prediction,
    make_result,
    with_answers,
)
from builders.trust import with_trust
from napari_mmsubtype.core.records import ModalityReport, PatchCounts
from napari_mmsubtype.core.result_words import DEMO_CAUTION, RESEARCH_ONLY
from napari_mmsubtype.widgets.result_summary import (
    feature_rows,
    patches_text,
    report_text,
    result_names,
    share_name,
    summarize,
    summary_text,
)


def test_summary_reads_what_the_store_says(tmp_path: Path) -> None:
    summary = summarize(make_result(tmp_path))
    assert summary.slide_name == "missing"
    assert summary.patient == "TCGA-E2-A14V"
    assert summary.is_demo
    assert summary.prediction.label == "Luminal"
    assert [c.name for c in summary.classes] == ["Luminal", "Basal/HER2"]


def test_results_of_one_slide_and_model_are_told_apart_by_their_stores(
    tmp_path: Path,
) -> None:
    summary = summarize(make_result(tmp_path))

    def names(*stores: str) -> list[str]:
        found = result_names(replace(summary, store=store) for store in stores)
        return [found[store].removeprefix("missing (demo)") for store in stores]

    assert names("/a/one.mmsubtype.zarr") == [""]
    assert names("/a/s.mmsubtype.zarr", "/a/s-2.mmsubtype.zarr") == [": s", ": s-2"]
    assert names("/a/s.zarr", "/b/s.zarr", "/b/t.zarr") == [
        ": a/s.zarr",
        ": b/s.zarr",
        ": t.zarr",
    ]
    assert names("a/s", "a//s") == [": a/s", ": a/s"], "one store, written in two ways"
    other = replace(summary, store="/a/s-2", bundle_name="other")
    found = result_names([replace(summary, store="/a/s"), other])
    assert list(found.values()) == ["missing (demo)", "missing (other)"]


def test_report_says_sample_coverage_unit_and_notes() -> None:
    report = ModalityReport(
        "rna",
        True,
        sample="TCGA-E2-A14V-01",
        unit="z-score",
        matched=1180,
        expected=1200,
        coverage=0.98,
        missing=("ESR1", "PGR", "KRT5", "EGFR", "FOXC1"),
        notes=("not comparable across cohorts",),
    )
    assert report_text(report).splitlines() == [
        "sample TCGA-E2-A14V-01, 1,180 of 1,200 features (98.0%), z-score",
        "· missing: ESR1, PGR, KRT5 and 2 more",
        "· not comparable across cohorts",
    ]


def test_report_of_an_unused_table_says_why() -> None:
    text = report_text(ModalityReport("clinical", False, "too few features"))
    assert text == "not used: too few features"


def test_patches_are_all_accounted_for() -> None:
    prediction = make_prediction(patches=PatchCounts(5000, 1200, 1198, 2))
    assert patches_text(prediction) == (
        "1,200 tissue patches: 1,198 used, 2 unreadable"
    )
    flagged = PatchCounts(9, 8, 5, 0, 3, {"pen": 1, "blur": 2, "fold": 0})
    warned = replace(make_prediction(patches=flagged), warnings=("mind this",))
    assert patches_text(warned).splitlines() == [
        "8 tissue patches: 5 used, 3 left out; flagged: 1 pen, 2 blurred",
        "mind this",
    ]


def test_copied_text_carries_the_cautions(tmp_path: Path) -> None:
    summary = summarize(make_result(tmp_path))
    text = summary_text(summary)
    assert "without RNA: Luminal 0.300, Basal/HER2 0.700" in text
    assert DEMO_CAUTION in text
    assert text.endswith(RESEARCH_ONLY)
    real = summary_text(replace(summary, is_demo=False))
    assert DEMO_CAUTION not in real
    assert RESEARCH_ONLY in real


def test_colors_are_in_the_text_where_something_was_asked(tmp_path: Path) -> None:
    summary = summarize(make_result(tmp_path))
    assert summary.colors == ""
    assert "colors" not in summary_text(summary)
    told = replace(summary, colors="profile X: applied")
    assert "colors: profile X: applied" in summary_text(told).splitlines()


def test_features_are_those_of_the_store_and_are_copied_as_text(tmp_path: Path) -> None:
    assert feature_rows(summarize(make_result(tmp_path / "a"))) == ([], [])
    result = make_result(tmp_path / "b", attributions=make_attributions())
    summary = summarize(result)
    features, groups = feature_rows(summary, count=2)
    assert [share_name(share) for share in features] == ["GENE10 (RNA)", "GENE9 (RNA)"]
    assert [share.name for share in groups] == ["even", "odd"]
    text = summary_text(summary)
    assert "features for Luminal, in logits: GENE10 (RNA) +2.00, " in text
    assert "gene groups for Luminal, in logits: even (RNA) +2.40" in text


def test_the_text_tells_what_else_was_answered(tmp_path: Path) -> None:
    summary = summarize(make_result(tmp_path))
    assert "risk:" not in summary_text(summary)
    told = replace(summary, prediction=with_answers(make_prediction()))
    assert "\nrisk: 2 times the risk of death of the av" in summary_text(told)


def test_classes_left_and_likeness_are_in_the_text(tmp_path: Path) -> None:
    summary = replace(
        summarize(make_result(tmp_path)), prediction=with_trust(make_prediction())
    )
    lines = summary_text(summary).splitlines()
    assert any(line.startswith("with 90 % coverage: Luminal or") for line in lines)
    assert any(line.startswith("RNA: unlike all 264") for line in lines)
