"""From files to a page that somebody else reads, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builders.pages import Page
from napari_mmsubtype.cli.main import DONE, main
from napari_mmsubtype.core.records import format_probability
from napari_mmsubtype.core.result_words import DEMO_CAUTION, RESEARCH_ONLY
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == DONE
    return json.loads(capsys.readouterr().out)


def check(page: Page, record: dict[str, Any]) -> None:
    """Hold a page against what the command line says of the same result."""
    cells = {" ".join(cell.split()) for cell in page.inside("td")}
    for call in record["subsets"].values():
        assert {format_probability(value) for value in call["probabilities"]} <= cells
    for values in (record["logits"], record["bias"], *record["shapley"].values()):
        assert {f"{value:+.3f}" for value in values} <= cells
    assert len(page.all("section")) == len(record["modalities"])
    for report in record["modalities"]:
        assert report["source"] in page.text
        assert f"{report['matched']:,} of {report['expected']:,} features" in page.text
        assert ", ".join(report["missing"]) in page.text
        for note in report["notes"]:
            assert " ".join(note.split()) in page.text
    assert f"{record['patches']['done']:,} used" in page.text
    assert record["store"] in page.text
    assert RESEARCH_ONLY in page.text
    assert DEMO_CAUTION in page.text
    assert len(page.all("img")) == 1


def test_a_synthetic_patient_becomes_a_page(tmp_path: Path, capsys) -> None:
    cohort = synthetic_cohort(12, seed=5, slide_size=640)
    tables = write_cohort(cohort, tmp_path / "tables")
    patient = cohort.patients.iloc[3]
    out = tmp_path / "patient.html"
    words = ["--patient", str(patient["patient_id"])]
    for name in ("rna", "methylation", "clinical"):
        words += [f"--{name}", str(tables[name])]
    record = run(
        capsys,
        *("analyze", str(patient["slide"]), *words),
        *("--out", str(tmp_path), "--html", str(out)),
    )
    assert record["report"] == str(out)
    assert len(record["subsets"]) == 15
    check(Page(out), record)
    again = run(capsys, "report", record["store"])["report"]
    first, second = (Page(Path(p)).text.partition("Written")[0] for p in (out, again))
    assert first == second


def test_real_tables_and_a_real_slide_become_pages(
    real_data: Path, tmp_path: Path, capsys
) -> None:
    patient = "TCGA-E2-A14V"
    slide = real_data / "regions" / "breast" / f"{patient}-01Z-00-DX1.tif"
    rna = real_data / "omics" / "tcga_brca_rnaseq_zscores.csv.gz"
    clinical = real_data / "clinical" / "brca_tcga_pan_can_atlas_2018_clinical_data.tsv"
    counts = real_data / "omics" / "tcga_brca_mrna_chr17_counts.tsv.gz"
    for path in (slide, rna, clinical, counts):
        if not path.exists():
            pytest.skip(f"{path.name} is not among the real data")
    record = run(
        capsys,
        *("analyze", str(slide), "--mpp", "0.25", "--patient", patient),
        *("--rna", str(rna), "--clinical", str(clinical)),
        *("--out", str(tmp_path), "--html", str(tmp_path)),
    )
    page = Page(Path(record["report"]))
    check(page, record)
    assert "given by the user" in page.text
    assert "not comparable across cohorts" in page.text
    facts = run(
        capsys,
        *("omics", str(rna), str(clinical), str(counts), "--patient", patient),
        *("--bundle", "demo", "--html", str(tmp_path / "coverage.html")),
    )
    covered = Page(Path(facts[0]["report"]))
    assert [entry["class"] for entry in covered.all("section")] == [
        "card",
        "card",
        "card refused",
    ]
    assert facts[2]["patient"]["reason"] in covered.text
    assert "all whole numbers" in covered.text
