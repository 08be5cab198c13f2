from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from builders.omics import beta_frame, clinical_frame, log_frame, tpm_frame, write
from builders.omics_gdc import gdc_folder, sheet_rows, write_sheet
from builders.omics_portals import as_anndata, cbioportal
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.omics_file import has_record, restore, write_omics
from napari_mmsubtype.omics.table import read_omics


def star(folder):
    files = gdc_folder(folder / "gdc", tpm_frame(3, suffix="-01A"))
    write_sheet(folder / "gdc_sample_sheet.tsv", sheet_rows(files))
    return read_omics(folder / "gdc")


def clinical(folder):
    frame = clinical_frame(6).astype(object)
    frame.iloc[2, 1] = np.nan
    frame["empty"] = np.nan
    return read_omics(write(frame, folder / "c.csv"), modality="clinical")


TABLES = {
    "rna": lambda d: read_omics(write(log_frame(4), d / "t.csv")),
    "gaps": lambda d: read_omics(
        write(log_frame(4).where(lambda f: f > 6), d / "t.csv")
    ),
    "betas": lambda d: read_omics(write(beta_frame(4), d / "t.csv")),
    "identifiers": lambda d: read_omics(cbioportal(d / "rsem.txt", tpm_frame(4))),
    "gdc": star,
    "clinical": clinical,
}


@pytest.mark.parametrize("name", TABLES)
def test_reading_what_was_written_is_the_identity(tmp_path, name):
    table = TABLES[name](tmp_path)
    before = table.copy()
    path = write_omics(table, tmp_path / "kept.h5ad")
    again = read_omics(path)
    for kept in (again, table):
        pd.testing.assert_frame_equal(kept.obs, before.obs)
        pd.testing.assert_frame_equal(kept.var, before.var)
        np.testing.assert_array_equal(kept.X, before.X)
        assert kept.uns["mmsubtype"] == before.uns["mmsubtype"]
    assert again.X.dtype == np.float32
    assert sorted(tmp_path.glob("*.h5ad")) == [path]


def test_other_programs_read_what_was_written(tmp_path):
    path = write_omics(TABLES["rna"](tmp_path), tmp_path / "kept.h5ad")
    data = anndata.io.read_h5ad(path)
    assert data.uns["mmsubtype"]["unit"] == "log2(x+1)"
    assert data.obs_names.tolist() == log_frame(4).index.tolist()


def test_table_in_memory_is_read_as_a_copy(tmp_path):
    table = TABLES["rna"](tmp_path)
    again = read_omics(table)
    again.X[0, 0] = -1
    assert table.X[0, 0] != -1
    assert again.uns["mmsubtype"] == table.uns["mmsubtype"]


def test_record_is_overruled_by_a_declared_unit(tmp_path):
    path = write_omics(TABLES["rna"](tmp_path), tmp_path / "kept.h5ad")
    table = read_omics(path, unit="log2(fpkm+1)")
    assert table.uns["mmsubtype"]["unit"] == "log2(fpkm+1)"
    assert table.uns["mmsubtype"]["modality"] == "rna"


def test_other_modality_than_the_recorded_is_refused(tmp_path):
    path = write_omics(TABLES["betas"](tmp_path), tmp_path / "kept.h5ad")
    with pytest.raises(ConfigurationError, match="holds methylation, not rna"):
        read_omics(path, modality="rna")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("modality", "image", "'image'"), ("unit", "miles", "'miles'")],
)
def test_unknown_records_are_refused(tmp_path, key, value, words):
    table = TABLES["rna"](tmp_path)
    table.uns["mmsubtype"][key] = value
    with pytest.raises(TableReadError, match=words):
        restore(table, "t", None)
    del table.obs["sample"]
    table.uns["mmsubtype"] |= {"modality": "rna", "unit": "tpm"}
    with pytest.raises(TableReadError, match="names no samples"):
        restore(table, "t", None)


def test_what_cannot_be_written_is_said(tmp_path):
    table = TABLES["rna"](tmp_path)
    with pytest.raises(ConfigurationError, match=r"\*\.h5ad, not 't.csv'"):
        write_omics(table, tmp_path / "t.csv")
    with pytest.raises(ConfigurationError, match="no folder"):
        write_omics(table, tmp_path / "none" / "t.h5ad")
    foreign = as_anndata(log_frame(2))
    assert not has_record(foreign)
    with pytest.raises(ConfigurationError, match="neither modality nor unit"):
        write_omics(foreign, tmp_path / "t.h5ad")
