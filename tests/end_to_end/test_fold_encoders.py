"""Tiles on disk, an encoder for each fold, and everything that follows from it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from builders.crossval import quick_scoring
from builders.tiles import SETTINGS, write_tiles
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.workflows.cohort_request import make_request
from napari_mmsubtype.workflows.crossval import crossval, crossval_job
from napari_mmsubtype.workflows.fold_store import FoldStore
from napari_mmsubtype.workflows.train import train

KILLS = 2
MODELS = ["evidence", "evidence/random_labels", "logistic/image"]
LEARNING = (
    "patch_training.epochs=6",
    "patch_training.patience=6",
    "fusion_training.epochs=12",
    "fusion_training.learning_rate=0.01",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One complete cross-validation, for all who look at it."""
    folder = tmp_path_factory.mktemp("tiles")
    manifest = write_tiles(folder / "tiles", patients=20, each=1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        quick_scoring(monkeypatch)
        outcome = crossval(
            manifest,
            "evidence",
            out=folder / "out",
            overrides=[*SETTINGS, *LEARNING],
            mpp=0.5,
            device="cpu",
        )
    content = json.loads(outcome.results.read_text(encoding="utf-8"))
    return folder, manifest, outcome, content


def test_every_model_judges_every_patient_and_the_control_knows_nothing(run):
    _, _, outcome, content = run
    frame = pd.read_parquet(outcome.predictions)
    assert list(content["models"]) == MODELS
    for name, rows in frame[frame["main"]].groupby("model"):
        assert sorted(rows["patient_id"]) == sorted(f"p{i}" for i in range(20)), name
    models = content["models"]
    assert models["evidence"]["metrics"]["roc_auc"]["value"] > 0.9
    low = models["evidence/random_labels"]["metrics"]["roc_auc"]["low"]
    assert low < 0.6
    assert [a["name"] for a in content["alarms"] if a["raised"]] == []


def test_results_tell_of_the_encoders(run):
    content = run[3]
    for name in MODELS[:2]:
        folds = content["models"][name]["folds"]
        for fold in folds:
            told = fold["encoder"]
            count = told["patches"] + told["validation_patches"]
            assert 10 * 3 < count <= 10 * 4
            assert len(told["training_losses"]) == told["epochs"]
            assert told["best_epoch"] < told["epochs"] <= 6
    seconds = [
        content["models"]["evidence"]["folds"][f]["encoder"]["seconds"] for f in (0, 1)
    ]
    assert content["models"]["evidence"]["seconds"] > sum(seconds)
    assert all(
        f["encoder"] is None for f in content["models"]["logistic/image"]["folds"]
    )


def test_each_bundle_carries_the_encoder_of_its_fold(run):
    folder, _, outcome, _ = run
    bundles = [load_bundle(path) for path in outcome.bundles]
    first, second = (b.encoder.state_dict() for b in bundles)
    assert any(not torch.equal(first[k], second[k]) for k in first)
    kept = [
        next((folder / "out" / "encoders" / "evidence" / place).glob("*.safetensors"))
        for place in ("fold-0-0", "fold-0-1")
    ]
    from safetensors.torch import load_file

    for state, path in zip((first, second), kept, strict=True):
        assert all(torch.equal(state[k], v) for k, v in load_file(path).items())
    told = bundles[0].info["training"]["encoder"]
    assert told["settings"]["patience"] == 6
    assert 3 * 8 < told["patches"] <= 4 * 8


def test_the_final_bundle_has_an_encoder_of_all_patients(run, tmp_path):
    _, manifest, _, _ = run
    outcome = train(
        manifest, "evidence", out=tmp_path, overrides=SETTINGS, mpp=0.5, device="cpu"
    )
    told = load_bundle(outcome.bundle).info["training"]["encoder"]
    assert 3 < told["patches"] / outcome.patients["train"] <= 4
    assert outcome.patients["train"] + outcome.patients["validation"] == 20


def test_such_folds_are_not_joined_and_nothing_is_embedded_first(run, tmp_path):
    folder, manifest, _, _ = run
    with pytest.raises(ConfigurationError, match="fold 1 has an encoder of its own"):
        train(
            manifest,
            "evidence",
            out=tmp_path,
            ensemble_of=folder / "out",
            overrides=[*SETTINGS, *LEARNING],
            mpp=0.5,
            device="cpu",
        )
    assert list(tmp_path.iterdir()) == []


def test_folds_of_images_run_and_raise_their_alarm(tmp_path, monkeypatch):
    quick_scoring(monkeypatch)
    outcome = crossval(
        write_tiles(tmp_path / "tiles", patients=6, each=2),
        "evidence",
        out=tmp_path,
        overrides=[*SETTINGS, "validation.group=image"],
        mpp=0.5,
        device="cpu",
    )
    content = json.loads(outcome.results.read_text(encoding="utf-8"))
    assert content["cohort"]["patients"] == 12
    assert content["validation"]["scheme"] == "image"
    raised = {a["name"]: a["message"] for a in content["alarms"] if a["raised"]}
    assert "the same patient in training and test" in raised["overlap"]
    assert "12 images of 6 patients" in content["validation"]["notes"][0]
    page = outcome.report.read_text(encoding="utf-8")
    assert "the same patient in training and test" in page


def first_fold(manifest, out):
    """Go as far as the scores of the first fold."""
    request = make_request(
        manifest,
        "evidence",
        out=out,
        overrides=SETTINGS,
        mpp=0.5,
        device="cpu",
    )
    with closing(crossval_job(request)) as job:
        while next(job).stage != "results":
            pass


def kill_and_go_on(manifest, folder):
    """Run it once whole and once with kills, in forked processes."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(4)
    killed, limit = 0, None
    for out in ("whole", "parts"):
        begun, code = time.monotonic(), -signal.SIGKILL
        while code:
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    first_fold(manifest, f"{folder}/{out}")
                    code = 0
                finally:
                    os._exit(code)
            if limit is not None and killed < KILLS:
                time.sleep(rng.uniform(0.1, 0.6) * limit)
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            assert code in {0, -signal.SIGKILL}
            killed += code != 0
        limit = time.monotonic() - begun
    sys.stdout.write(str(killed))


@pytest.mark.skipif(sys.platform != "linux", reason="forks and kills with SIGKILL")
def test_killed_at_random_moments_it_ends_with_the_same_answers(tmp_path):
    manifest = write_tiles(tmp_path / "tiles", patients=12, each=1)
    tests = Path(__file__).resolve().parents[1]
    code = (
        f"import sys; sys.path.insert(0, {str(tests)!r})\n"
        "from end_to_end.test_fold_encoders import kill_and_go_on\n"
        f"kill_and_go_on({str(manifest)!r}, {str(tmp_path)!r})\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) >= 1
    for model in MODELS:
        one, other = (
            FoldStore(tmp_path / out).predictions(model, 0, 0)
            for out in ("whole", "parts")
        )
        pd.testing.assert_frame_equal(one, other)
