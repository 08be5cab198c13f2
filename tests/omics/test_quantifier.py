from __future__ import annotations

import gzip

import numpy as np
import pytest

from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.quantifier import find_quantifier, read_quantifier
from napari_mmsubtype.omics.table import read_omics

FILES = {
    "P1.genes.results": (
        "gene_id\ttranscript_id(s)\tlength\teffective_length\texpected_count\tTPM\tFPKM\n"
        "ENSG00000091831.24\tENST00000206249.8\t6330\t6081.5\t12.5\t40.25\t20.5\n"
        "ENSG00000082175.15_PGR\tENST00000325455.10\t13037\t12789\t2\t3.5\t1.5\n"
    ),
    "P1.quant.genes.sf": (
        "Name\tLength\tEffectiveLength\tTPM\tNumReads\n"
        "ENSG00000091831\t6330\t6081.5\t40.25\t12.5\n"
        "ENSG00000082175\t13037\t12789\t3.5\t2\n"
    ),
    "P1/abundance.tsv": (
        "target_id\tlength\teff_length\test_counts\ttpm\n"
        "ENSG00000091831\t6330\t6081.5\t12.5\t40.25\n"
        "ENSG00000082175\t13037\t12789\t2\t3.5\n"
    ),
    "P1/gene_abund.tab": (
        "Gene ID\tGene Name\tReference\tStrand\tStart\tEnd\tCoverage\tFPKM\tTPM\n"
        "ENSG00000091831\tESR1\tchr6\t+\t1\t2\t3.5\t20.5\t40.25\n"
        "ENSG00000082175\t-\tchr11\t-\t1\t2\t1.5\t1.5\t3.5\n"
    ),
}
STAR = (
    "N_unmapped\t5\t5\t5\nN_multimapping\t6\t6\t6\nN_noFeature\t7\t70\t8\n"
    "N_ambiguous\t1\t0\t1\nENSG00000091831.24\t12\t1\t11\nENSG00000082175.15\t2\t2\t0\n"
)


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", FILES)
def test_each_program_gives_the_same_sample(tmp_path, name):
    table = read_omics(write(tmp_path, name, FILES[name]))
    assert table.obs["sample"].tolist() == ["P1"]
    assert table.var["ensembl"].tolist() == ["ENSG00000091831", "ENSG00000082175"]
    assert table.X.tolist() == [[40.25, 3.5]]
    assert table.uns["mmsubtype"]["unit"] == "tpm"
    assert table.uns["mmsubtype"]["modality"] == "rna"


@pytest.mark.parametrize(
    ("name", "unit", "values"),
    [
        ("P1.genes.results", "counts", [12.5, 2]),
        ("P1.genes.results", "FPKM", [20.5, 1.5]),
        ("P1.quant.genes.sf", "counts", [12.5, 2]),
        ("P1/abundance.tsv", "counts", [12.5, 2]),
        ("P1/gene_abund.tab", "fpkm", [20.5, 1.5]),
    ],
)
def test_unit_chooses_the_column(tmp_path, name, unit, values):
    table = read_omics(write(tmp_path, name, FILES[name]), unit=unit)
    assert table.X.tolist() == [values]
    assert table.uns["mmsubtype"]["unit"] == unit.lower()


def test_counts_of_star_without_their_summary(tmp_path):
    path = tmp_path / "P1.ReadsPerGene.out.tab.gz"
    path.write_bytes(gzip.compress(STAR.encode()))
    reading = read_quantifier(path, None)
    assert list(reading.samples) == ["P1"]
    assert list(reading.features) == ["ENSG00000091831.24", "ENSG00000082175.15"]
    np.testing.assert_array_equal(reading.values, [[12, 2]])
    assert reading.unit.unit.name == "counts"
    with pytest.raises(
        ConfigurationError, match="STAR, which has no tpm; pass unit='c"
    ):
        read_quantifier(path, "tpm")


def test_symbols_beside_are_kept_but_for_dashes(tmp_path):
    name = "P1/gene_abund.tab"
    table = read_omics(write(tmp_path, name, FILES[name]))
    assert table.var["symbol"].tolist() == ["ESR1", ""]


def test_transcripts_are_refused(tmp_path):
    text = FILES["P1.quant.genes.sf"].replace("ENSG", "ENST")
    with pytest.raises(
        TableReadError, match=r"'quant.sf' lists transcripts .*tximport"
    ):
        read_omics(write(tmp_path, "quant.sf", text))


@pytest.mark.parametrize(
    "line", ["gene\tTPM", "N_unmapped\t5", "Name\tDescription\tS1"]
)
def test_other_tables_are_none_of_these(tmp_path, line):
    assert find_quantifier(line) is None
    with pytest.raises(TableReadError, match="no output of a program"):
        read_quantifier(write(tmp_path, "t.tsv", line + "\n"), None)
