from __future__ import annotations

import shutil

import numpy as np
import pytest

from builders.omics import GENES, barcodes, beta_frame, tpm_frame
from builders.omics_gdc import (
    STAR_NAME,
    file_id,
    gdc_folder,
    sheet_rows,
    star_text,
    write_metadata,
    write_sheet,
)
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import (
    ConfigurationError,
    TableReadError,
    UnmatchedSampleError,
)
from napari_mmsubtype.omics.fit_options import FitOptions
from napari_mmsubtype.omics.fitting import fit_table
from napari_mmsubtype.omics.gdc_folder import find_gdc_files, read_gdc
from napari_mmsubtype.omics.omics_file import write_omics
from napari_mmsubtype.omics.sample_choice import find_row
from napari_mmsubtype.omics.table import read_omics

FRAME = tpm_frame(4, suffix="-01A")


def read(path, modality=None, unit=None):
    return read_gdc(find_gdc_files(path, modality), unit)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["inside", "beside", "given"])
def test_download_becomes_one_table(tmp_path, nested, packed, place):
    folder = tmp_path / "gdc"
    files = gdc_folder(folder, FRAME, nested=nested, packed=packed)
    where = tmp_path if place == "beside" else folder
    sheet = write_sheet(where / "gdc_sample_sheet.2024-05-01.tsv", sheet_rows(files))
    reading = read(sheet if place == "given" else folder)
    assert sorted(reading.samples) == sorted(FRAME.index)
    order = [list(reading.samples).index(name) for name in FRAME.index]
    np.testing.assert_allclose(reading.values[order, :30], FRAME, rtol=1e-6)
    assert reading.identifiers["symbol"].tolist()[:30] == list(GENES)
    assert reading.obs["patient"].iloc[order].tolist() == barcodes(4, "")
    assert set(reading.obs["sample_type"]) == {"Primary Tumor"}
    assert "4 files of STAR gene counts, column 'tpm_unstranded'" in reading.steps[0]


def test_sheet_and_files_that_differ_are_reported(tmp_path):
    files = gdc_folder(tmp_path, FRAME)
    rows = sheet_rows(files)
    shutil.rmtree(files[FRAME.index[1]].parent)
    other = ("x", f"other.{STAR_NAME}.bak", "", "", "", "P9", "P9-01A", "")
    write_sheet(tmp_path / "gdc_sample_sheet.tsv", [*rows[:3], other])
    steps = read(tmp_path).steps
    assert f"1 samples of the sheet have no file here ({FRAME.index[1]})" in steps
    assert any("1 files are not in the sheet" in step for step in steps)


def twice(folder, analytes=None):
    """Four files of three samples, the first sample twice."""
    files = gdc_folder(folder, FRAME)
    rows = sheet_rows(files)
    rows[1] = (*rows[1][:5], *rows[0][5:])
    write_sheet(folder / "gdc_sample_sheet.tsv", rows)
    names = [file.name for file in files.values()]
    if analytes:
        write_metadata(
            folder,
            {
                name: f"{FRAME.index[0]}-11{analyte}-A12D-07"
                for name, analyte in zip(names, analytes, strict=False)
            },
        )
    return names


def test_samples_with_several_files_are_not_guessed_and_a_file_can_be_named(tmp_path):
    names = twice(tmp_path)
    table = read_omics(tmp_path)
    sample = FRAME.index[0]
    steps = table.uns["mmsubtype"]["steps"]
    assert any(s.startswith(f"1 samples have several files ({sample})") for s in steps)
    assert not any("none of them can be chosen" in step for step in steps)
    with pytest.raises(UnmatchedSampleError, match=f"2 files .*{names[0]}.*metadata"):
        find_row(table, sample[:12])
    for name in (names[1], names[1].partition(".")[0]):
        match = find_row(table, name)
        assert match.sample == sample
        np.testing.assert_allclose(table.X[match.index, :30], FRAME.iloc[1], rtol=1e-5)
        assert name in match.notes[0]


def test_the_better_aliquot_stands_for_its_sample(tmp_path):
    twice(tmp_path, "RH")
    table = read_omics(tmp_path)
    sample = FRAME.index[0]
    steps = " ".join(table.uns["mmsubtype"]["steps"])
    assert f"{sample}-11H-A12D-07 rather than {sample}-11R-A12D-07" in steps
    match = find_row(table, sample[:12])
    np.testing.assert_allclose(table.X[match.index, :30], FRAME.iloc[1], rtol=1e-5)
    assert "aliquot TCGA-E2-A000-01A-11H-A12D-07 was taken" in match.notes[-1]
    other = find_row(table, f"{sample}-11R-A12D-07")
    np.testing.assert_allclose(table.X[other.index, :30], FRAME.iloc[0], rtol=1e-5)
    # The other three patients have one row each.
    options = FitOptions(model_unit="log2(tpm+1)")
    steps = fit_table(table, options=options).steps
    assert steps[0].startswith("fitted on 3 training patients")


def test_the_choice_of_aliquots_is_kept_with_the_table(tmp_path):
    twice(tmp_path / "gdc", "RH")
    table = read_omics(tmp_path / "gdc")
    again = read_omics(write_omics(table, tmp_path / "t.h5ad"))
    assert find_row(again, "TCGA-E2-A000") == find_row(table, "TCGA-E2-A000")


def test_without_a_sheet_files_name_the_samples(tmp_path):
    files = gdc_folder(tmp_path / "gdc", FRAME)
    reading = read(tmp_path / "gdc")
    assert sorted(reading.samples) == sorted(
        file.name.partition(".")[0] for file in files.values()
    )
    assert "download the sample sheet" in reading.steps[1]


def test_sheet_of_another_download_nearby_is_not_used(tmp_path):
    gdc_folder(tmp_path / "gdc", FRAME)
    row = ("x", f"other.{STAR_NAME}", "", "", "", "P9", "P9-01A", "")
    sheet = write_sheet(tmp_path / "gdc_sample_sheet.tsv", [row])
    assert "lists none of the files" in read(tmp_path / "gdc").steps[1]
    sheet.replace(tmp_path / "gdc" / sheet.name)
    with pytest.raises(TableReadError, match="lists none of the 4 files"):
        read(tmp_path / "gdc")


def test_one_file_finds_its_name_in_the_sheet(tmp_path):
    files = gdc_folder(tmp_path / "gdc", FRAME)
    write_sheet(tmp_path / "gdc_sample_sheet.tsv", sheet_rows(files))
    sample, file = next(iter(files.items()))
    table = read_omics(file)
    assert table.obs["sample"].tolist() == [sample]
    assert table.uns["mmsubtype"]["unit"] == "tpm"
    assert read_omics(file, unit="counts").uns["mmsubtype"]["unit"] == "counts"


def test_one_file_alone_goes_by_its_own_name(tmp_path):
    file = tmp_path / f"a1b2.{STAR_NAME}"
    file.write_text(star_text(FRAME.iloc[0]))
    assert read_omics(file).obs["sample"].tolist() == ["a1b2"]


def test_two_modalities_need_a_choice(tmp_path):
    gdc_folder(tmp_path / "rna", FRAME)
    betas = beta_frame(2)
    betas.index = [f"{name}-01A" for name in betas.index]
    gdc_folder(tmp_path / "dna", betas, kind="sesame")
    with pytest.raises(ConfigurationError, match=r"2 of methylation.*4 of rna"):
        read(tmp_path)
    assert read(tmp_path, Modality.RNA).values.shape == (4, 31)
    found = read(tmp_path, Modality.METHYLATION)
    assert found.values.shape == (2, 20)
    assert "arrays: 2 part of an array" in found.steps


def test_files_of_different_lengths_are_joined_and_named(tmp_path):
    files = gdc_folder(tmp_path, FRAME)
    short = files[FRAME.index[2]]
    short.write_text("\n".join(short.read_text().splitlines()[:-6]) + "\n")
    reading = read(tmp_path)
    assert reading.values.shape == (4, 31)
    assert int(np.isnan(reading.values).any(axis=1).sum()) == 1
    assert f"{short.name} has 25" in reading.steps[-1]
    assert all(reading.identifiers["symbol"])


@pytest.mark.parametrize("content", [{}, {"notes.txt": "id\ta\nx\t1\n"}])
def test_folder_without_such_files_says_what_it_holds(tmp_path, content):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    shown = "'notes.txt'" if content else "nothing"
    with pytest.raises(TableReadError, match=f"it holds {shown}; pass one table file"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["gdc_sample_sheet.tsv", "gdc_manifest.x.txt"])
def test_lists_without_their_files_are_not_the_download(tmp_path, name):
    path = write_sheet(tmp_path / name, [])
    with pytest.raises(TableReadError, match=f"holds '{name}' but none of the files"):
        read(tmp_path)
    if "sheet" in name:
        with pytest.raises(TableReadError, match="download the cart itself"):
            read(path)


def test_sheets_that_cannot_serve_are_refused(tmp_path):
    files = gdc_folder(tmp_path, FRAME)
    rows = sheet_rows(files)
    first = write_sheet(tmp_path / "gdc_sample_sheet.a.tsv", rows)
    write_sheet(tmp_path / "gdc_sample_sheet.b.tsv", rows)
    with pytest.raises(TableReadError, match="2 sample sheets"):
        read(tmp_path)
    assert len(read(first).samples) == 4
    first.write_text(first.read_text().replace("Sample ID", "Name"))
    with pytest.raises(TableReadError, match="no column 'Sample ID'"):
        read(first)
    assert file_id(1) in str(files[FRAME.index[0]])
