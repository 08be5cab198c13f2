from __future__ import annotations

import pandas as pd
import pytest

from builders.omics import beta_frame, log_frame, tpm_frame, write
from builders.omics_gdc import gdc_folder, sheet_rows, write_sheet
from builders.omics_portals import as_anndata, gct, h5ad, h5mu
from napari_mmsubtype.core.table_files import (
    ENDINGS,
    IN_WORDS,
    PACKED,
    FileKind,
    table_endings,
)
from napari_mmsubtype.omics.file_kind import recognize


def test_every_kind_says_how_its_files_are_called():
    assert set(ENDINGS) == set(FileKind)
    assert all(ENDINGS[kind] for kind in FileKind if kind is not FileKind.FOLDER)
    listed = table_endings()
    assert len(listed) == len(set(listed))
    assert {e for kind in FileKind for e in ENDINGS[kind]} | set(PACKED) == set(listed)
    assert {".csv", ".gct", ".h5ad", ".h5mu", ".parquet", ".gz"} <= set(listed)


@pytest.mark.parametrize("ending", [e.strip(".") for e in (".gct", ".h5mu", ".zip")])
def test_the_help_names_what_users_have(ending):
    assert ending.casefold() in IN_WORDS.casefold()


def test_files_as_they_come_are_called_so(tmp_path):
    files = [
        write(log_frame(3), tmp_path / "rna.csv"),
        gct(tmp_path / "rna.gct", log_frame(3)),
        h5ad(tmp_path / "rna.h5ad", log_frame(3)),
        h5mu(tmp_path / "rna.h5mu", rna=as_anndata(log_frame(3))),
        tmp_path / "quant.genes.sf",
    ]
    log_frame(3).to_parquet(tmp_path / "rna.parquet")
    files.append(tmp_path / "rna.parquet")
    salmon = {"Name": ["ENSG1"], "EffectiveLength": [1], "TPM": [1], "NumReads": [1]}
    pd.DataFrame(salmon).to_csv(files[4], sep="\t", index=False)
    for frame, kind in ((tpm_frame(2), "star"), (beta_frame(2), "sesame")):
        found = gdc_folder(tmp_path / kind, frame, kind=kind)
        files += found.values()
        files.append(write_sheet(tmp_path / f"{kind}.tsv", sheet_rows(found)))
    kinds = {recognize(file) for file in files}
    assert kinds == set(FileKind) - {FileKind.FOLDER}
    for file in files:
        assert file.suffix in ENDINGS[recognize(file)], file
