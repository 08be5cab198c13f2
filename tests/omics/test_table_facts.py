import pandas as pd
import pytest

from builders.omics import (
    GENES,
    as_table,
    barcodes,
    beta_frame,
    clinical_frame,
    log_frame,
    write,
)
from napari_mmsubtype.omics.feature_names import describe_features
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.omics.table_facts import (
    evidence_for,
    identifier_words,
    sample_words,
    table_facts,
)


def test_facts_of_a_table_count_and_name(tmp_path):
    path = write(log_frame(6, suffix="-01A-11R-A12D-07"), tmp_path / "rna.csv")
    facts = table_facts(read_omics(path))
    assert facts["source"] == str(path)
    assert (facts["modality"], facts["unit"]) == ("rna", "log2(x+1)")
    assert facts["samples"] == {"count": 6, "first": barcodes(5)}
    assert facts["features"] == {"count": 30, "first": list(GENES[:5])}
    assert facts["sample_types"] == {"primary solid tumour (-01)": 6}
    assert facts["identifiers"] == {"symbol": 30, "ensembl": 0, "entrez": 0}
    assert all(isinstance(step, str) for step in facts["steps"])


def test_columns_are_the_features_of_a_clinical_table(tmp_path):
    path = write(clinical_frame(4), tmp_path / "c.csv")
    facts = table_facts(read_omics(path))
    assert facts["features"]["count"] == len(facts["features"]["first"]) == 4
    assert {"age", "sex", "stage"} < set(facts["features"]["first"])
    assert facts["identifiers"] == {}


def test_what_spoke_for_a_finding_is_found_in_the_steps():
    steps = [
        "comma-separated, rna (64 known genes (of 90), values to 12), samples in rows "
        "(TCGA barcodes in 100% of the rows)",
        "unit log2(x+1) (as declared)",
        "unit log2 is another thing",
    ]
    assert evidence_for(steps, "rna") == "64 known genes (of 90), values to 12"
    assert evidence_for(steps, "samples in rows").startswith("TCGA barcodes in 100%")
    assert evidence_for(steps, "unit log2(x+1)") == "as declared"
    assert evidence_for(steps, "unit tpm") == ""
    assert evidence_for([], "rna") == ""


def test_kinds_of_identifiers_are_told_with_examples(tmp_path):
    names = ["ESR1", "PGR", "VIM"]
    words = identifier_words(describe_features(names), names)
    assert words == "3 symbols (such as ESR1, PGR)"
    probes = list(beta_frame(2, 3).columns)
    told = identifier_words(pd.DataFrame({"symbol": probes}), probes)
    assert told == "3 probes (such as cg00000000, cg00000001)"
    table = read_omics(write(beta_frame(20, 30), tmp_path / "beta.csv"))
    kinds = {"probe": 30, "ensembl": 0, "entrez": 0}
    assert table_facts(table)["identifiers"] == kinds
    mixed = ["ENSG00000091831.24", "ENSG00000082175"]
    assert identifier_words(describe_features(mixed), mixed).startswith("2 Ensembl ids")
    clinical = as_table(clinical_frame(2), "raw", modality="clinical")
    assert identifier_words(clinical.var, []) == ""


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (
            "TCGA-E2-A14V-01A-11R-A12D-07",
            "TCGA-E2-A14V-01A-11R-A12D-07, primary solid tumour",
        ),
        ("TCGA-E2-A14V", "TCGA-E2-A14V"),
        ("case 7", "case 7"),
    ],
)
def test_samples_are_told_with_their_type(sample, words):
    assert sample_words(sample) == words
