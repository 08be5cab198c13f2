from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from builders.omics import write
from builders.web import serve
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.hgnc import HGNC_ADDRESS, load_hgnc
from napari_mmsubtype.omics.preprocessing import align_sample, fit_modality
from napari_mmsubtype.omics.table import read_omics

TEXT = (
    "hgnc_id\tsymbol\tname\tstatus\talias_symbol\tprev_symbol\tentrez_id"
    "\tensembl_gene_id\n"
    "HGNC:1\tNUF2\tkinetochore\tApproved\tCT106\tCDCA1\t83540\tENSG00000143228\n"
    "HGNC:2\tSEPTIN1\tseptin 1\tApproved\tDIFF6|LARP\tSEPT1|PNUTL3\t1731"
    "\tENSG00000180096\n"
    "HGNC:3\tLARP1\tribonucleoprotein\tApproved\tLARP\t\t23367\tENSG00000155506\n"
    "HGNC:4\tOLD1\twithdrawn\tEntry Withdrawn\t\t\t\t\n"
)
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "hgnc_complete_set.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.mark.parametrize(
    ("name", "approved"),
    [
        ("NUF2", "NUF2"),
        ("CDCA1", "NUF2"),
        ("CT106", "NUF2"),
        ("SEPT1", "SEPTIN1"),
        ("83540", "NUF2"),
        ("ENSG00000155506", "LARP1"),
        ("LARP", None),
        ("OLD1", None),
        ("", None),
    ],
)
def test_names_of_all_kinds_lead_to_the_approved_symbol(file, name, approved):
    assert load_hgnc(file).approved(name) == approved


def test_model_learns_the_other_names_of_its_genes(file):
    found = load_hgnc(file).identifiers(["CDCA1", "SEPTIN1", "unheard-of"])
    assert found.loc["CDCA1"].tolist() == ["ENSG00000143228", "83540", "NUF2|CT106"]
    assert found.loc["SEPTIN1", "aliases"] == "SEPT1|PNUTL3|DIFF6|LARP"
    assert found.loc["unheard-of"].tolist() == ["", "", ""]
    frame = pd.DataFrame({"CDCA1": [5.0, 6.5], "SEPTIN1": [7.0, 9.5]}, index=["a", "b"])
    spec = fit_modality(frame, modality="rna", unit="log2(tpm+1)", identifiers=found)
    renamed = frame.rename(columns={"CDCA1": "NUF2", "SEPTIN1": "PNUTL3"})
    table = read_omics(
        write(renamed, file.with_name("t.csv")), modality="rna", samples_in="rows"
    )
    assert align_sample(table, "a", spec).report.matched == 2


def test_table_gets_the_identifiers_it_lacks(file):
    frame = pd.DataFrame(
        {"CDCA1": [5.0], "ENSG00000180096.4": [7.5], "odd": [2.0]}, index=["a"]
    )
    table = read_omics(write(frame, file.with_name("t.csv")), modality="rna")
    filled = load_hgnc(file).complete(table)
    assert filled.var.loc["CDCA1"].tolist() == ["CDCA1", "ENSG00000143228", "83540"]
    assert filled.var.loc["ENSG00000180096.4"].tolist() == [
        "SEPTIN1",
        "ENSG00000180096",
        "1731",
    ]
    assert filled.var.loc["odd"].tolist() == ["odd", "", ""]
    assert "identifiers of 2 genes completed" in filled.uns["mmsubtype"]["steps"][-1]
    assert table.var.loc["CDCA1", "ensembl"] == ""
    assert "HGNC" not in table.uns["mmsubtype"]["steps"][-1]
    np.testing.assert_array_equal(filled.X, table.X)


def test_checksum_of_a_file_is_held(file):
    assert load_hgnc(file, sha256=DIGEST).sha256 == DIGEST
    with pytest.raises(TableReadError, match=f"checksum {DIGEST}, not 00"):
        load_hgnc(file, sha256="00")


def test_download_is_kept_and_must_stay_the_same(file, tmp_path):
    cache = tmp_path / "cache"
    with serve(tmp_path) as address:
        url = f"{address}/{file.name}"
        first = load_hgnc(url, cache=cache)
        assert (first.source, first.sha256) == (url, DIGEST)
        with pytest.raises(TableReadError, match=r"does not have the checksum"):
            load_hgnc(url, sha256="0" * 64, cache=cache)
    # The server is gone: the kept file serves.
    assert load_hgnc(url, cache=cache).approved("CDCA1") == "NUF2"


def test_changed_or_absent_download_is_refused(file, tmp_path):
    cache = tmp_path / "cache"
    with serve(tmp_path) as address:
        url = f"{address}/{file.name}"
        load_hgnc(url, cache=cache)
        file.write_text(TEXT + "HGNC:9\tNEW\tn\tApproved\t\t\t\t\n")
        (cache / file.name).unlink()
        with pytest.raises(TableReadError, match=r"delete .*\.sha256"):
            load_hgnc(url, cache=cache)
        with pytest.raises(TableReadError, match=r"cannot fetch.*elsewhere"):
            load_hgnc(f"{address}/none.txt", cache=cache)
    assert HGNC_ADDRESS.startswith("https://")


def test_other_table_is_refused(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text("symbol\tname\nESR1\testrogen receptor\n")
    with pytest.raises(TableReadError, match="no column 'ensembl_gene_id'"):
        load_hgnc(path)
