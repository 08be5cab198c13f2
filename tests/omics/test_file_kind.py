from __future__ import annotations

import gzip

import pandas as pd
import pytest

from builders.omics import GENES, beta_frame, log_frame, tpm_frame, write
from builders.omics_gdc import gdc_folder, sesame_text, star_text, write_sheet
from builders.omics_portals import gct, h5ad
from napari_mmsubtype.core.table_files import FileKind
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.file_kind import (
    SMALL_BYTES,
    is_hdf5,
    is_small_text,
    recognize,
)

STAR = star_text(tpm_frame(1).iloc[0])
BETAS = sesame_text(beta_frame(1).iloc[0])


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (STAR, FileKind.STAR),
        (STAR.partition("\n")[2], FileKind.STAR),
        (BETAS, FileKind.PAIRS),
        ("cg00000029\tNA\ncg00000108\t0.5\n", FileKind.PAIRS),
        ("ENSG00000000003.13\t2013\n__no_feature\t5\n", FileKind.DELIMITED),
        ("ENSG00000000003.13\t2013\nENSG00000000005.5\t5\n", FileKind.PAIRS),
        ("gene\tS1\ncg00000029\t0.5\n", FileKind.DELIMITED),
        ("#1.2\n2\t1\nName\tDescription\tS1\n", FileKind.GCT),
        ("\ufeff#1.3\r\n2\t1\t0\t0\r\n", FileKind.GCT),
        ("# 1.2 is no version\nid\ta\n", FileKind.DELIMITED),
        ("id,a\nx,1\n", FileKind.DELIMITED),
        ("N_unmapped\t1\t1\t1\n", FileKind.QUANTIFIER),
        ("Name\tLength\tEffectiveLength\tTPM\tNumReads\n", FileKind.QUANTIFIER),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_text_is_told_by_its_first_lines(tmp_path, content, kind, pack):
    path = tmp_path / "named.wrongly.csv"
    path.write_bytes(pack(content.encode()))
    assert recognize(path) is kind


def test_binary_formats_folders_and_sheets(tmp_path):
    frame = log_frame(3)
    frame.to_parquet(tmp_path / "a.csv")
    assert recognize(tmp_path / "a.csv") is FileKind.PARQUET
    assert recognize(h5ad(tmp_path / "b.txt", frame)) is FileKind.HDF5
    assert recognize(gct(tmp_path / "c.tsv", frame)) is FileKind.GCT
    assert recognize(tmp_path) is FileKind.FOLDER
    assert recognize(write_sheet(tmp_path / "d.tsv", [])) is FileKind.SAMPLE_SHEET
    gdc_folder(tmp_path / "gdc", pd.DataFrame(tpm_frame(1)))
    star = next((tmp_path / "gdc").rglob("*.rna_seq.*.tsv"))
    assert recognize(star) is FileKind.STAR
    assert recognize(write(frame, tmp_path / "e.h5ad")) is FileKind.DELIMITED
    assert len(GENES) == frame.shape[1]


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(TableReadError, match="no table at"):
        recognize(tmp_path / "none.csv")


def test_hdf5_is_told_by_its_first_bytes(tmp_path):
    assert is_hdf5(h5ad(tmp_path / "named.csv", log_frame(3)))
    assert not is_hdf5(write(log_frame(3), tmp_path / "named.h5ad"))
    assert not is_hdf5(tmp_path)
    assert not is_hdf5(tmp_path / "missing.h5ad")


def test_short_text_is_told_from_what_may_take_a_while(tmp_path):
    assert is_small_text(write(log_frame(3), tmp_path / "a.csv"))
    assert not is_small_text(h5ad(tmp_path / "a.h5ad", log_frame(3)))
    for name in ("a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zip"):
        path = write(log_frame(3), tmp_path / name)
        assert is_small_text(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert not is_small_text(path)
    with gzip.open(tmp_path / "long.csv.gz", "wb") as stream:
        stream.write(b"a," * SMALL_BYTES)
    assert not is_small_text(tmp_path / "long.csv.gz")
    log_frame(3).to_parquet(tmp_path / "a.parquet")
    assert not is_small_text(tmp_path / "a.parquet")
    assert not is_small_text(tmp_path)
    assert not is_small_text(tmp_path / "missing.csv")
    long = tmp_path / "long.csv"
    long.write_text("a," * (SMALL_BYTES // 2))
    assert is_small_text(long)
    long.write_text("a," * (SMALL_BYTES // 2) + "\n")
    assert not is_small_text(long)
