from __future__ import annotations

import time

import numpy as np
import psutil
import pytest

from builders.omics import tpm_frame, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics import table_job
from napari_mmsubtype.omics.reader_process import run_to_end
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.omics.table_job import read_table_job


@pytest.fixture
def long(tmp_path):
    path = write(tpm_frame(2500), tmp_path / "rna.csv.gz")
    assert path.stat().st_size < 2**20  # It is long once it is unpacked.
    return path


def test_a_long_table_is_read_apart_and_a_short_one_here(long, tmp_path, monkeypatch):
    def apart(path, options, here):
        asked.append((path, options))
        yield Progress("read", 1, 2)
        return here()

    asked = []
    monkeypatch.setattr(table_job, "read_apart", apart)
    for name in ("a.csv", "a.csv.gz"):
        path = write(tpm_frame(5), tmp_path / name)
        assert run_to_end(read_table_job(path)).shape == (5, 30)
    assert asked == []
    table = run_to_end(read_table_job(long, modality=Modality.RNA, unit="fpkm"))
    assert table.uns["mmsubtype"]["unit"] == "fpkm"
    assert asked == [(str(long), {"unit": "fpkm", "modality": "rna"})]


def test_the_table_is_that_of_read_omics(long):
    np.testing.assert_array_equal(
        run_to_end(read_table_job(long)).X, read_omics(long).X
    )


def test_closing_the_job_ends_the_process_that_reads(long):
    job = read_table_job(long)
    for _ in range(3):
        assert next(job).message == "reading rna.csv.gz"
    (child,) = psutil.Process().children()
    begun = time.monotonic()
    job.close()
    assert not child.is_running()
    assert time.monotonic() - begun < 5


def test_errors_are_those_of_read_omics(tmp_path):
    with pytest.raises(TableReadError, match="no table at"):
        run_to_end(read_table_job(tmp_path / "missing.csv.gz"))
    (tmp_path / "empty.csv").touch()
    with pytest.raises(TableReadError, match=r"'empty\.csv' is empty"):
        run_to_end(read_table_job(tmp_path / "empty.csv"))
