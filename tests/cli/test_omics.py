import json

import pytest

from builders.bundles import tiny_bundle
from builders.omics import barcodes, clinical_frame, log_frame, write
from builders.pages import Page
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.result_words import DEMO_CAUTION
from napari_mmsubtype.models.bundle import load_bundle

SUFFIX = "-01A-11R-A12D-07"
PATIENT = barcodes(3, "")[1]


@pytest.fixture
def rna(tmp_path):
    return str(write(log_frame(6, suffix=SUFFIX), tmp_path / "rna.csv"))


def shown(capsys, *words):
    assert main(["omics", *words]) == DONE
    return capsys.readouterr().out


def test_table_is_described_with_its_evidence(rna, capsys):
    text = " ".join(shown(capsys, rna).split())
    for words in (
        "modality rna",
        "unit log2(x+1)",
        f"samples 6 ({barcodes(1, SUFFIX)[0]}, ",
        "features 30 (ESR1, PGR, ERBB2, GRB7, KRT5, …)",
        "sample types 6 primary solid tumour (-01)",
        "identifiers 30 symbol",
        "samples in rows (TCGA barcodes in 100% of the rows)",
        "too small for anything but logarithms",
    ):
        assert words in text


def test_json_holds_the_same_facts(rna, capsys):
    facts = json.loads(shown(capsys, rna, "--json", "--patient", PATIENT))
    assert facts["unit"] == "log2(x+1)"
    assert facts["samples"]["count"] == 6
    assert facts["features"]["first"][0] == "ESR1"
    assert facts["identifiers"] == {"symbol": 30, "ensembl": 0, "entrez": 0}
    assert facts["patient"]["sample"] == PATIENT + SUFFIX
    assert all(isinstance(step, str) for step in facts["steps"])


def test_options_overrule_what_is_detected(rna, capsys):
    words = ["--modality", "rna", "--unit", "log2(fpkm+1)", "--samples-in", "columns"]
    facts = json.loads(shown(capsys, rna, "--json", *words))
    assert facts["unit"] == "log2(fpkm+1)"
    assert facts["samples"]["count"] == 30


def test_clinical_columns_are_its_features(tmp_path, capsys):
    path = write(clinical_frame(4), tmp_path / "c.csv")
    facts = json.loads(shown(capsys, str(path), "--json"))
    assert facts["modality"] == "clinical"
    assert facts["features"]["count"] == 4
    assert "age" in facts["features"]["first"]


def test_coverage_of_a_model_is_reported(tmp_path, capsys):
    folder = tiny_bundle(tmp_path / "tiny")
    genes = list(load_bundle(folder).modalities[Modality.RNA].features["feature"])
    frame = log_frame(4, suffix=SUFFIX).iloc[:, : len(genes) - 1]
    frame.columns = genes[:-1]
    path = str(write(frame, tmp_path / "rna.csv"))
    words = ["--modality", "rna", "--patient", PATIENT, "--bundle", str(folder)]
    facts = json.loads(shown(capsys, path, "--json", *words))["patient"]
    assert facts["used"]
    assert facts["matched"] == len(genes) - 1
    assert facts["missing"] == [genes[-1]]
    assert not set(facts["notes"]) & {"comma-separated"}
    text = shown(capsys, path, *words)
    assert f"({len(genes) - 1} of {len(genes)} features)" in text
    assert f"missing      {genes[-1]}" in text


def test_model_without_the_modality_is_named(tmp_path, capsys):
    folder = tiny_bundle(tmp_path / "tiny", modalities=("rna",))
    path = str(write(clinical_frame(4), tmp_path / "c.csv"))
    words = ["--patient", PATIENT, "--bundle", str(folder)]
    assert main(["omics", path, *words]) == BAD_INPUT
    assert "no clinical branch (it takes: rna)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--bundle", "demo"], "name the patient with --patient"),
        (["--html", "c.html"], "name the model with --bundle"),
        (["--bundle", "demo", "--patient", PATIENT, "--html", "c.txt"], "in .html"),
        (["--patient", "P9"], "patient 'P9' is not among the 6 samples"),
        (["--unit", "miles"], "unit 'miles'"),
        (["--samples-in", "cells"], "samples_in is 'cells'"),
        (["--layer", "raw"], "leave out --layer 'raw': it applies to AnnData"),
    ],
)
def test_requests_that_cannot_be_met_are_one_line(rna, capsys, words, says):
    assert main(["omics", rna, *words]) == BAD_INPUT
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.fixture
def covered(tmp_path):
    """A model, an RNA table that lacks one of its genes, and a clinical table."""
    folder = tiny_bundle(tmp_path / "tiny", info={"synthetic": True})
    genes = list(load_bundle(folder).modalities[Modality.RNA].features["feature"])
    frame = log_frame(4, suffix=SUFFIX).iloc[:, : len(genes) - 1]
    frame.columns = genes[:-1]
    rna = str(write(frame, tmp_path / "rna.csv"))
    clinical = str(write(clinical_frame(4), tmp_path / "c.csv"))
    words = ["--patient", PATIENT, "--bundle", str(folder)]
    return rna, clinical, words, genes


def test_several_tables_are_described_one_after_the_other(covered, capsys):
    rna, clinical, words, _ = covered
    text = shown(capsys, rna, clinical)
    assert text.count("source ") == 2
    facts = json.loads(shown(capsys, rna, clinical, "--json", *words))
    assert [entry["modality"] for entry in facts] == ["rna", "clinical"]
    assert all(entry["patient"]["used"] for entry in facts)


def test_coverage_of_all_tables_is_one_page(covered, tmp_path, capsys):
    rna, clinical, words, genes = covered
    out = tmp_path / "coverage.html"
    asked = [rna, clinical, *words, "--html", str(out)]
    assert f"report       {out}" in shown(capsys, *asked)
    facts = json.loads(shown(capsys, *asked, "--json"))
    assert {entry["report"] for entry in facts} == {str(out)}
    page = Page(out)
    assert len(page.all("section")) == 2
    assert f"Omics coverage of {PATIENT}" in page.text
    assert DEMO_CAUTION in page.text
    for entry in facts:
        patient = entry["patient"]
        assert entry["source"] in page.text
        assert f"{patient['matched']} of {patient['expected']} features" in page.text
        for note in [*entry["steps"], *patient["notes"]]:
            assert " ".join(note.split()) in page.text
    assert genes[-1] in page.text
    assert f"{len(genes) - 1} symbols" in page.text
    assert f"{PATIENT}{SUFFIX}, primary solid tumour" in page.text


def test_a_table_that_cannot_serve_leaves_no_page(covered, tmp_path, capsys):
    rna, _, words, _ = covered
    other = str(write(log_frame(1, suffix="-11A-11R-A12D-07"), tmp_path / "o.csv"))
    asked = [rna, other, *words, "--html", str(tmp_path / "x.html")]
    assert main(["omics", *asked]) == BAD_INPUT
    told, error = capsys.readouterr()
    # What was recognised in the first table is told all the same.
    assert told.startswith(f"source       {rna}")
    assert f"in the table {other!r}" in error
    assert not (tmp_path / "x.html").exists()


def test_options_of_one_table_are_refused_for_several(covered, capsys):
    rna, clinical, *_ = covered
    asked = [rna, clinical, "--unit", "tpm", "--samples-in", "rows"]
    assert main(["omics", *asked]) == BAD_INPUT
    error = capsys.readouterr().err
    assert "--unit, --samples-in is about one table, and 2 are given" in error
