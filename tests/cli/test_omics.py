import json

import pytest

from builders.bundles import tiny_bundle
from builders.omics import barcodes, clinical_frame, log_frame, write
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.core.cases import Modality
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
