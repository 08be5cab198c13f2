from __future__ import annotations

import shlex

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.widgets.cohort_choice import (
    CohortChoice,
    CohortTask,
    cohort_command,
)


def test_the_command_names_everything_that_was_chosen() -> None:
    choice = CohortChoice(
        task=CohortTask.CROSSVAL,
        manifest="my cohort.csv",
        presets=("evidence", "brca-crossattention:z-scores"),
        out="out",
        tables={Modality.RNA: "rna.csv.gz", Modality.CLINICAL: "clinical.tsv"},
        overrides=("validation.group=site",),
        embeddings="bags",
        device="cpu",
    )
    assert shlex.split(cohort_command(choice)) == [
        "napari-mmsubtype", "crossval", "my cohort.csv",
        "--preset", "evidence", "--preset", "brca-crossattention:z-scores",
        "--rna", "rna.csv.gz", "--clinical", "clinical.tsv",
        "--set", "validation.group=site",
        "--embeddings", "bags", "--device", "cpu", "--out", "out",
    ]  # fmt: skip


def test_what_is_left_out_is_not_in_the_command() -> None:
    choice = CohortChoice(
        task=CohortTask.TRAIN, manifest="m.csv", presets=("evidence",), out="out"
    )
    expected = "napari-mmsubtype train m.csv --preset evidence --out out"
    assert cohort_command(choice) == expected


def test_the_command_line_takes_the_line(tmp_path) -> None:
    from typer.testing import CliRunner

    from napari_mmsubtype.cli.main import app

    choice = CohortChoice(
        task=CohortTask.CROSSVAL,
        manifest=str(tmp_path / "none.csv"),
        presets=("evidence",),
        out=str(tmp_path / "out"),
        tables={Modality.RNA: str(tmp_path / "rna.csv")},
        overrides=("validation.folds=3",),
        embeddings=str(tmp_path / "bags"),
        device="cpu",
    )
    for task in CohortTask:
        words = shlex.split(cohort_command(choice))[1:]
        words[0] = str(task)
        outcome = CliRunner().invoke(app, words)
        # Every option is known; what is missing is the manifest.
        assert "No such option" not in outcome.output
        assert "none.csv" in outcome.output + str(outcome.exception)
