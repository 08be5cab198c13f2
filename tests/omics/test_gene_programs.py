"""Genes that rise and fall together."""

import pandas as pd
import pytest

from napari_mmsubtype.omics.gene_programs import (
    BASAL_GENES,
    HER2_GENES,
    LUMINAL_GENES,
    PAM50,
    PROGRAMS,
    PROMOTERS,
    gene_identifiers,
    gene_trait,
    promoter_genes,
    rna_genes,
)


def test_pam50_has_fifty_genes_and_all_are_in_the_table():
    assert len(set(PAM50)) == 50
    assert set(PAM50) <= set(rna_genes())


def test_some_two_hundred_other_genes():
    assert 190 <= len(set(rna_genes()) - set(PAM50)) <= 260
    assert 50 <= len(promoter_genes()) <= 70


@pytest.mark.parametrize("genes", [rna_genes(), promoter_genes()])
def test_every_gene_is_listed_once(genes):
    assert len(set(genes)) == len(genes)
    assert all(gene == gene.strip().upper() for gene in genes)


@pytest.mark.parametrize(
    ("genes", "program"),
    [
        ("ESR1 PGR FOXA1 GATA3", LUMINAL_GENES),
        ("KRT5 KRT14 KRT17 EGFR FOXC1", BASAL_GENES),
        ("ERBB2 GRB7", HER2_GENES),
    ],
)
def test_marker_genes_are_in_their_programs(genes, program):
    assert set(genes.split()) <= set(program)


def test_programs_and_promoters_point_the_way_biology_says():
    program = {p.name: p for p in PROGRAMS}
    assert program["luminal"].subtype < 0 < program["basal"].subtype
    assert program["her2"].her2 > 2
    assert program["proliferation"].subtype > 0
    promoter = {gene: group for group in PROMOTERS for gene in group.genes}
    assert promoter["ESR1"].subtype > 0 > promoter["KRT5"].subtype
    assert promoter["CD3E"].immune < 0
    assert all(0 < group.level < 1 for group in PROMOTERS)


def test_identifiers_are_well_formed_or_empty():
    table = gene_identifiers(rna_genes())
    assert list(table.columns) == ["feature", "ensembl", "entrez", "aliases"]
    assert tuple(table["feature"]) == rna_genes()
    assert table["ensembl"].str.fullmatch(r"(ENSG\d{11})?").all()
    assert table["entrez"].str.fullmatch(r"\d*").all()
    for column in ("ensembl", "entrez"):
        known = table[column][table[column] != ""]
        assert known.is_unique
        assert len(known) > 20


def test_old_names_of_pam50_are_kept():
    table = gene_identifiers(PAM50).set_index("feature")["aliases"]
    assert table["NUF2"] == "CDCA1"
    assert table["NDC80"] == "KNTC2"
    assert table["ORC6"] == "ORC6L"


def test_traits_are_fixed_for_all_time():
    assert gene_trait("ESR1", "level") == gene_trait("ESR1", "level")
    assert gene_trait("ESR1", "level") != gene_trait("ESR1", "noise")
    values = pd.Series([gene_trait(gene, "level") for gene in rna_genes()])
    assert values.between(-1, 1).all()
    assert abs(values.mean()) < 0.15
    assert values.std() == pytest.approx(3**-0.5, abs=0.08)  # uniform on (-1, 1)


@pytest.mark.real_data
def test_most_genes_are_in_a_real_table(real_data):
    table = real_data / "omics" / "tcga_brca_rnaseq_zscores.csv.gz"
    columns = set(pd.read_csv(table, nrows=0).columns)
    genes = rna_genes()
    assert sum(gene in columns for gene in genes) / len(genes) >= 0.6
