from __future__ import annotations

import pytest

from builders.omics import tpm_frame
from builders.omics_gdc import gdc_folder, sheet_rows, write_metadata, write_sheet
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.gdc_sheet import find_sheet, name_files

FRAME = tpm_frame(3, suffix="-01A")


@pytest.fixture
def files(tmp_path):
    return gdc_folder(tmp_path, FRAME)


def test_the_nearest_sheet_is_found(tmp_path, files):
    inside = tmp_path / next(iter(files.values())).parent.name
    assert find_sheet([inside, tmp_path]) is None
    outer = write_sheet(tmp_path / "gdc_sample_sheet.tsv", sheet_rows(files))
    assert find_sheet([inside, tmp_path]) == outer
    near = write_sheet(inside / "gdc_sample_sheet.a.tsv", sheet_rows(files))
    assert find_sheet([inside, tmp_path]) == near
    write_sheet(inside / "gdc_sample_sheet.b.tsv", sheet_rows(files))
    with pytest.raises(TableReadError, match="2 sample sheets"):
        find_sheet([inside])


def test_files_get_samples_patients_and_types(tmp_path, files):
    sheet = write_sheet(tmp_path / "gdc_sample_sheet.tsv", sheet_rows(files))
    paths = list(files.values())
    named = name_files(paths, sheet)
    assert list(named.samples.values()) == list(FRAME.index)
    obs = named.obs.loc[[str(path) for path in paths]]
    assert obs["patient"].tolist() == [name[:12] for name in FRAME.index]
    assert set(obs["sample_type"]) == {"Primary Tumor"}
    assert obs["file"].tolist() == [path.name for path in paths]
    assert "aliquot" not in obs


@pytest.mark.parametrize(
    ("tissue", "descriptor", "expected"),
    [
        ("Tumor", "Primary", "Primary Tumor"),
        ("Tumor", "Metastatic", "Metastatic Tumor"),
        ("Tumor", "Not Reported", "Tumor"),
        ("Normal", "Not Applicable", "Normal"),
    ],
)
def test_newer_sheets_say_the_type_in_two_columns(
    tmp_path, files, tissue, descriptor, expected
):
    rows = [(*row[:7], tissue, descriptor) for row in sheet_rows(files)]
    sheet = tmp_path / "gdc_sample_sheet.tsv"
    write_sheet(sheet, rows, kinds=("Tissue Type", "Tumor Descriptor"))
    named = name_files(list(files.values()), sheet)
    assert set(named.obs["sample_type"]) == {expected}


def test_analytes_listed_twice_are_one_sample(tmp_path, files):
    rows = [
        (*row[:5], *(f"{cell}, {cell}" for cell in row[5:]))
        for row in sheet_rows(files)
    ]
    sheet = write_sheet(tmp_path / "gdc_sample_sheet.tsv", rows)
    named = name_files(list(files.values()), sheet)
    assert list(named.samples.values()) == list(FRAME.index)
    assert set(named.obs["sample_type"]) == {"Primary Tumor"}


def test_metadata_beside_the_sheet_name_the_aliquots(tmp_path, files):
    sheet = write_sheet(tmp_path / "gdc_sample_sheet.tsv", sheet_rows(files))
    paths = list(files.values())
    write_metadata(tmp_path, {paths[0].name: "A-1"})
    obs = name_files(paths, sheet).obs
    assert obs["aliquot"].tolist() == ["A-1", "", ""]
