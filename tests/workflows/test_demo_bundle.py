from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.training.config import FusionTrainingConfig, PatchTrainingConfig
from napari_mmsubtype.workflows import demo_bundle
from napari_mmsubtype.workflows.demo_bundle import (
    DemoBundleConfig,
    DemoBundleOutcome,
    demo_bundle_job,
)
from napari_mmsubtype.workflows.jobs import run_job

TINY = DemoBundleConfig(
    patients=16,
    slide_size_px=512,
    encoder_slides=4,
    patches_per_slide=2,
    calibration=10,
    encoder=PatchTrainingConfig(epochs=1, batch_size=8),
    fusion=FusionTrainingConfig(epochs=2, patches_per_bag=8),
    bootstrap=50,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[DemoBundleOutcome, list[Progress]]:
    events: list[Progress] = []
    out = tmp_path_factory.mktemp("made") / "demo"
    outcome = run_job(demo_bundle_job(out, TINY), events.append)
    return outcome, events


def test_tiny_run_leaves_a_bundle_that_loads(made) -> None:
    outcome, _ = made
    bundle = load_bundle(outcome.path)
    assert bundle.classes == (LUMINAL, BASAL_HER2)
    assert bundle.encoder.name == "demo-cnn"
    assert bundle.fusion.modalities == tuple(Modality)
    assert (bundle.patch.size_px, bundle.patch.mpp) == (128, 0.5)
    assert {spec.min_coverage for spec in bundle.modalities.values()} == {0.3}
    assert bundle.calibration == outcome.calibration
    assert len(bundle.calibration.conformal) == 15
    assert set(bundle.calibration.temperatures) < set(bundle.calibration.conformal)
    # 10 training patients are too few for a guard.
    assert not bundle.guard
    assert set(bundle.reference) == {"embedding_mean", "embedding_std"}


def test_card_says_that_it_knows_only_made_up_tissue(made) -> None:
    bundle = load_bundle(made[0].path)
    assert bundle.info["synthetic"] is True
    assert "only made-up tissue" in bundle.card
    assert "must not be used on patients" in bundle.card
    assert "- synthetic-data\n" in bundle.card.split("---")[1]


def test_card_counts_every_patient_once(made) -> None:
    bundle = load_bundle(made[0].path)
    counts = bundle.info["patients"]
    parts = [counts[name] for name in ("training", "validation", "held out")]
    assert sum(sum(part.values()) for part in parts) == TINY.patients
    assert "| split | Luminal | Basal/HER2 | all |" in bundle.card
    assert "| given | ROC-AUC | balanced accuracy |" in bundle.card


def test_card_reports_the_numbers_of_the_run(made) -> None:
    outcome, _ = made
    metrics = load_bundle(outcome.path).info["metrics"]
    for key, score in outcome.scores.items():
        stated = metrics[f"ROC-AUC, {key}"]
        assert stated["value"] == pytest.approx(score.auc.value, abs=1e-4)
        assert stated["low"] == pytest.approx(score.auc.low, abs=1e-4)
    assert outcome.evidence.slides >= 1


def test_progress_names_every_stage_in_order(made) -> None:
    stages = list(dict.fromkeys(event.stage for event in made[1]))
    assert stages == [
        "patches",
        "patch training",
        "slides",
        "fusion training",
        "evaluation",
    ]
    slides = [event for event in made[1] if event.stage == "slides"]
    assert [e.done for e in slides] == [
        *range(1, TINY.patients + 1),
        *range(1, TINY.calibration + 1),
    ]


def test_same_command_gives_the_same_weights(made, tmp_path) -> None:
    outcome, _ = made
    again = run_job(demo_bundle_job(tmp_path / "again", TINY))
    first, second = (
        (o.path / "weights.safetensors").read_bytes() for o in (outcome, again)
    )
    assert first == second
    assert load_bundle(outcome.path).digest == load_bundle(again.path).digest


def test_kept_networks_are_calibrated_again_as_they_are(made, tmp_path) -> None:
    outcome, _ = made
    events: list[Progress] = []
    config = replace(TINY, keep=outcome.path)
    again = run_job(demo_bundle_job(tmp_path / "kept", config), events.append)
    assert {event.stage for event in events} == {"slides", "evaluation"}
    for name in ("weights.safetensors", "features/rna.parquet", "calibration.json"):
        assert (again.path / name).read_bytes() == (outcome.path / name).read_bytes()
    assert again.scores == outcome.scores
    info = load_bundle(again.path).info
    assert info == load_bundle(outcome.path).info


def test_card_says_how_promises_were_kept(made) -> None:
    metrics = load_bundle(made[0].path).info["metrics"]
    assert (
        "for each of 15" in metrics["calibration error, mean over subsets of the data"]
    )
    patients = load_bundle(made[0].path).info["patients"]
    assert patients["calibration of prediction sets"].startswith("10 more")


def test_cancelling_leaves_nothing(tmp_path) -> None:
    out = tmp_path / "demo"
    job = demo_bundle_job(out, TINY)
    next(job)
    job.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ([], "src/napari_mmsubtype/bundles/demo"),
        (["--out", "else/where"], "else/where"),
    ],
)
def test_command_line_runs_the_job_and_reports(
    monkeypatch, capsys, made, arguments, folder
) -> None:
    asked: list[tuple] = []
    threads = torch.get_num_threads()

    def fake_job(out, config):
        asked.append((out, config))
        yield Progress("slides", 1, 2, "encoding slides")
        return made[0]

    monkeypatch.setattr(demo_bundle, "demo_bundle_job", fake_job)
    try:
        code = demo_bundle.main([*arguments, "--patients", "40"])
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    assert code == 0
    assert asked[0][0] == Path(folder)
    assert asked[0][1].patients == 40
    printed = capsys.readouterr().out
    assert "slides 1/2 encoding slides" in printed
    assert "image+rna+methylation+clinical: AUC" in printed
