from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.omics.feature_names import (
    FeatureName,
    describe_features,
    is_known_feature,
    is_par_y,
    is_probe,
    mangled_by_spreadsheet,
    match_features,
    parse_feature,
)


def model(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["feature", "ensembl", "entrez", "aliases"])


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("ESR1", FeatureName("ESR1")),
        ("ENSG00000091831.24", FeatureName(ensembl="ENSG00000091831")),
        ("ensg00000091831", FeatureName(ensembl="ENSG00000091831")),
        ("2099", FeatureName(entrez="2099")),
        ("ESR1|2099", FeatureName("ESR1", entrez="2099")),
        ("?|10357", FeatureName(entrez="10357")),
        ("ESR1_ENSG00000091831.24", FeatureName("ESR1", "ENSG00000091831")),
        ("ENSG00000091831.24_ESR1", FeatureName("ESR1", "ENSG00000091831")),
        ("ESR1_rnaseq", FeatureName("ESR1")),
        ("HLA-A", FeatureName("HLA-A")),
        ("cg00021527", FeatureName("cg00021527")),
    ],
)
def test_labels_are_read(label, expected):
    assert parse_feature(label) == expected


@given(st.integers(0, 10**11 - 1), st.integers(1, 99))
def test_ensembl_version_never_matters(number, version):
    bare = f"ENSG{number:011d}"
    assert parse_feature(f"{bare}.{version}") == parse_feature(bare)
    assert not is_par_y(bare)
    assert is_par_y(f"{bare}.{version}_PAR_Y")


@pytest.mark.parametrize("label", ["cg00021527", "ch.1.1234F", "rs2959823"])
def test_probes_are_known(label):
    assert is_probe(label)
    assert is_known_feature(label)


@pytest.mark.parametrize("label", ["TCGA-E2-A14V", "P17", "sample 3", "S1"])
def test_samples_are_no_features(label):
    assert not is_known_feature(label)


def test_dates_of_spreadsheets_are_found():
    dates = ["1-Sep", "2-Mar", "Dec-01", "4-Oct", "1-Mar-24", "2024-09-01 00:00:00"]
    dates += ["2024-03-02", "9/1/2024", "01.03.2024"]
    genes = ["ESR1", "HLA-A", "SEPTIN1", "MARCH1", "SEPT2", "DEC1", "1.2", "100506658"]
    assert mangled_by_spreadsheet([*dates, *genes]) == dates


def test_each_way_of_matching_finds_its_feature():
    table = describe_features(
        ["KRT5", "ENSG00000091831.24", "2064", "c1orf112", "HER1", "CDCA1"]
    )
    spec = model(
        ("CDC6", "", "", ""),
        ("KRT5", "", "", ""),
        ("ESR1", "ENSG00000091831", "2099", ""),
        ("ERBB2", "", "2064", ""),
        ("C1orf112", "", "", ""),
        ("EGFR", "", "", "ERBB|HER1"),
        ("NUF2", "", "", ""),
    )
    match = match_features(table, spec)
    assert match.columns.tolist() == [-1, 0, 1, 2, 3, 4, 5]
    assert "2 features found by alias" in match.notes
    assert "1 features found by Ensembl" in match.notes


def test_renamed_genes_match_in_both_directions():
    old, new = ["CDCA1", "KNTC2", "ORC6L"], ["NUF2", "NDC80", "ORC6"]
    for here, there in ((old, new), (new, old)):
        spec = model(*[(name, "", "", "") for name in there])
        assert match_features(describe_features(here), spec).columns.tolist() == [
            0,
            1,
            2,
        ]


def test_repeated_symbol_is_decided_by_a_surer_identifier():
    table = describe_features(
        ["ENSG00000284024.1", "ENSG00000284770.3"],
        pd.DataFrame({"symbol": ["TBCE", "TBCE"]}),
    )
    sure = model(("TBCE", "ENSG00000284770", "", ""))
    assert match_features(table, sure).columns.tolist() == [1]
    match = match_features(table, model(("TBCE", "", "", "")))
    assert match.columns.tolist() == [0]
    assert "several columns have (the first was taken)" in match.notes[0]


def test_alias_never_takes_another_features_column():
    # B is an alias of A, and the name of a feature of its own.
    spec = model(("A", "", "", "B"), ("B", "", "", ""))
    assert match_features(describe_features(["B"]), spec).columns.tolist() == [-1, 0]


def test_symbol_wins_over_alias():
    spec = model(("EGFR", "", "", "HER1"))
    table = describe_features(["HER1", "EGFR"])
    assert match_features(table, spec).columns.tolist() == [1]


def test_column_serves_one_feature_only():
    spec = model(("A", "", "", "X"), ("B", "", "", "X"))
    assert match_features(describe_features(["X"]), spec).columns.tolist() == [0, -1]


@given(st.permutations(["ESR1", "PGR", "KRT5", "EGFR", "MYC"]))
def test_matching_restores_the_models_order(order):
    spec = model(*[(name, "", "", "") for name in sorted(order)])
    match = match_features(describe_features(order), spec)
    assert [order[i] for i in match.columns] == sorted(order)


def test_identifiers_beside_the_labels_are_used():
    extra = pd.DataFrame(
        {"entrez": ["2099", None], "ensembl": ["ENSG00000091831.9", ""]}
    )
    table = describe_features(["Esr1 gene", "x"], extra)
    assert table["entrez"].tolist() == ["2099", ""]
    spec = model(("ESR1", "ENSG00000091831", "", ""))
    assert match_features(table, spec).columns.tolist() == [0]
