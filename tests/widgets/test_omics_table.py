from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from builders.omics import beta_frame, clinical_frame, log_frame, tpm_frame, write
from builders.omics_portals import h5ad
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics import table_job
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.omics.units import UNITS, parse_unit
from napari_mmsubtype.widgets.omics_table import (
    OmicsTable,
    TableRequest,
    UnreadTable,
    describe_table,
    patients_of,
    read_table_job,
    unit_names,
)
from napari_mmsubtype.workflows.jobs import run_job


def read(path: Path, **options) -> OmicsTable | UnreadTable:
    return run_job(read_table_job(TableRequest(str(path), **options)))


def test_what_was_recognised_is_told_with_its_evidence(tmp_path: Path) -> None:
    path = write(log_frame(5, suffix="-01A").T, tmp_path / "rna.tsv", corner="gene")
    table = read(path)
    assert (table.modality, table.unit, table.samples_in) == (
        Modality.RNA,
        "log2(x+1)",
        "columns",
    )
    assert "known genes" in table.evidence["modality"]
    assert "too small for anything but logarithms" in table.evidence["unit"]
    assert "TCGA barcodes" in table.evidence["samples_in"]
    assert table.size == "5 samples × 30 features"
    assert table.names == "30 symbols (such as ESR1, PGR); 5 primary solid tumour (-01)"
    assert table.samples[0] == "TCGA-E2-A000-01A"
    assert table.patients[0] == "TCGA-E2-A000"


def test_what_is_overruled_is_read_so_and_said_so(tmp_path: Path) -> None:
    path = write(tpm_frame(5), tmp_path / "rna.csv")
    assert read(path).unit == "tpm"
    table = read(path, unit="fpkm")
    assert table.unit == "fpkm"
    assert table.evidence["unit"] == "as declared"
    assert table.request.reading == {"unit": "fpkm"}


@pytest.mark.parametrize(
    ("frame", "modality", "size"),
    [
        (beta_frame(4), Modality.METHYLATION, "4 samples × 20 features"),
        (clinical_frame(4), Modality.CLINICAL, "4 patients × 4 columns"),
    ],
)
def test_every_modality_is_described(tmp_path, frame, modality, size) -> None:
    table = read(write(frame, tmp_path / "t.csv"))
    assert table.modality is modality
    assert table.size == size


def test_probes_are_no_symbols(tmp_path: Path) -> None:
    table = read(write(beta_frame(4), tmp_path / "t.csv"))
    assert table.names.startswith("20 probes (such as cg00000000, cg00000001)")


def test_a_table_that_cannot_be_read_gives_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    found = read(tmp_path / "empty.csv")
    assert isinstance(found, UnreadTable)
    assert "'empty.csv' is empty" in found.sentence
    path = write(tpm_frame(5), tmp_path / "rna.csv")
    sentence = read(path, unit="beta").sentence
    assert "'beta' is not one of rna; choose 'counts', 'cpm', 'tpm'" in sentence
    assert sentence.endswith("under Unit")


def test_evidence_is_empty_where_steps_say_nothing(tmp_path: Path) -> None:
    path = write(tpm_frame(5), tmp_path / "rna.csv")
    data = read_omics(path)
    data.uns["mmsubtype"]["steps"] = ["unit tpm (an open parenthesis", "other"]
    table = describe_table(TableRequest(str(path)), data)
    assert table.evidence == {"modality": "", "unit": "", "samples_in": ""}


def test_patients_are_told_once() -> None:
    samples = ("TCGA-E2-A14V-01A", "tcga.e2.a14v.11A", "P 7", "P 7")
    assert patients_of(samples) == ("P 7", "TCGA-E2-A14V")


def test_units_are_those_that_a_modality_takes() -> None:
    assert unit_names(None) == tuple(UNITS)
    assert unit_names(Modality.CLINICAL) == ()
    assert unit_names(Modality.METHYLATION) == ("z-score", "beta", "m-value")
    for name in unit_names(Modality.RNA):
        assert parse_unit(name, Modality.RNA).name == name


def test_cancelling_ends_the_process_that_reads(tmp_path: Path) -> None:
    path = h5ad(tmp_path / "rna.h5ad", tpm_frame(5))
    job = read_table_job(TableRequest(str(path)))
    for _ in range(3):
        assert next(job).message == "reading rna.h5ad"
    (child,) = psutil.Process().children()
    job.close()
    assert not child.is_running()


def test_a_file_that_hangs_has_a_sentence(tmp_path: Path, monkeypatch) -> None:
    def stuck(*_: Any) -> Any:
        yield Progress("read")
        raise TableReadError("'a.h5ad' seems damaged")

    monkeypatch.setattr(table_job, "read_apart", stuck)
    found = read(h5ad(tmp_path / "a.h5ad", tpm_frame(3)))
    assert isinstance(found, UnreadTable)
    assert found.sentence == "'a.h5ad' seems damaged"
