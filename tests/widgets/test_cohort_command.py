from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.widgets.cohort_command import CohortTask, cohort_command
from napari_mmsubtype.workflows.cohort_request import CohortRequest


def test_the_command_names_everything_that_was_chosen() -> None:
    request = CohortRequest(
        manifest="my cohort.csv",
        presets=("evidence", "brca-crossattention:z-scores"),
        out=Path("out"),
        tables={Modality.RNA: "rna.csv.gz", Modality.CLINICAL: "clinical.tsv"},
        reading={Modality.RNA: {"unit": "z-score"}},
        overrides=("validation.group=site",),
        embeddings=Path("bags"),
        device="cpu",
    )
    assert shlex.split(cohort_command(CohortTask.CROSSVAL, request)) == [
        "napari-mmsubtype", "crossval", "my cohort.csv",
        "--preset", "evidence", "--preset", "brca-crossattention:z-scores",
        "--rna", "rna.csv.gz", "--clinical", "clinical.tsv",
        "--rna-unit", "z-score",
        "--set", "validation.group=site",
        "--embeddings", "bags", "--device", "cpu", "--out", "out",
    ]  # fmt: skip


def test_what_is_left_out_is_not_in_the_command() -> None:
    request = CohortRequest(manifest="m.csv", presets=("evidence",), out=Path("out"))
    expected = "napari-mmsubtype train m.csv --preset evidence --out out"
    assert cohort_command(CohortTask.TRAIN, request) == expected
    joined = replace(request, ensemble_of=Path("cv"))
    expected = expected.replace("--out", "--ensemble-of cv --out")
    assert cohort_command(CohortTask.TRAIN, joined) == expected


def test_the_command_line_takes_the_line(tmp_path) -> None:
    from typer.testing import CliRunner

    from napari_mmsubtype.cli.main import app

    request = CohortRequest(
        manifest=str(tmp_path / "none.csv"),
        presets=("evidence",),
        out=tmp_path / "out",
        tables={Modality.RNA: str(tmp_path / "rna.csv")},
        reading={Modality.RNA: {"unit": "tpm", "samples_in": "rows"}},
        tensorboard=tmp_path / "curves",
        overrides=("validation.folds=3",),
        embeddings=tmp_path / "bags",
        device="cpu",
    )
    for task in CohortTask:
        words = shlex.split(cohort_command(task, request))[1:]
        outcome = CliRunner().invoke(app, words)
        # Every option is known; what is missing is the manifest.
        assert "No such option" not in outcome.output
        assert "none.csv" in outcome.output + str(outcome.exception)
