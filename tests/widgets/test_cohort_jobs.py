from __future__ import annotations

from pathlib import Path

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.preset_files import list_presets, load_preset
from napari_mmsubtype.widgets.cohort_command import CohortTask
from napari_mmsubtype.widgets.cohort_jobs import cohort_job, manifest_job, presets_job
from napari_mmsubtype.workflows.cohort_request import CohortRequest
from napari_mmsubtype.workflows.jobs import run_job


def test_every_preset_comes_with_its_title() -> None:
    titles = run_job(presets_job())
    assert list(titles) == list_presets()
    assert titles["evidence"] == load_preset("evidence").title


def test_a_manifest_is_described_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(
        "patient_id,slide,label,site\n"
        "a,synthetic:seed=1,Luminal,A\nb,,Luminal,B\nc,,Basal/HER2,\nd,,,B\n"
    )
    assert run_job(manifest_job(str(path))) == (
        "4 patients, 1 with a slide · Luminal 2, Basal/HER2 1, 1 without a label · "
        "2 sites"
    )


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [("split", ("train", "test"), "fixed test set"), ("fold", ("0", "1"), "own")],
)
def test_folds_of_the_manifest_are_told(
    tmp_path: Path, column: str, cells: tuple[str, str], words: str
) -> None:
    path = tmp_path / "m.csv"
    rows = [f"p{i},L{i % 2},{cells[i // 2]}" for i in range(4)]
    path.write_text("\n".join([f"patient_id,label,{column}", *rows]) + "\n")
    assert run_job(manifest_job(str(path))).endswith(words)


@pytest.mark.parametrize("task", list(CohortTask))
def test_a_request_reaches_its_job(tmp_path: Path, task: CohortTask) -> None:
    request = CohortRequest(
        manifest=str(tmp_path / "none.csv"),
        presets=("evidence",),
        out=tmp_path / "out",
    )
    with pytest.raises(ConfigurationError, match=r"none\.csv"):
        run_job(cohort_job(task, request))
    assert not (tmp_path / "out").exists()
