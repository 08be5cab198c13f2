"""What is trained on another device stays there, and ends as on the CPU."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from builders.crossval import fold_data
from builders.other_device import OTHER, other_device
from builders.training import (
    make_answers,
    make_bags,
    make_encoder,
    make_fusion,
    make_heads,
    two_colors,
)
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.training import fusion_loss, patch_run, patch_validation
from napari_mmsubtype.training.config import FusionTrainingConfig, PatchTrainingConfig
from napari_mmsubtype.training.fusion_trainer import fit_fusion, predict_logits
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.workflows import training_device
from napari_mmsubtype.workflows.fold_fusion import fit_fold_job
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import fusion_variants

EVERYTHING = FusionTrainingConfig(
    epochs=2,
    batch_size=11,
    patches_per_bag=6,
    drop={Modality.RNA: 0.3},
    consistency=0.1,
    steadiness=0.1,
    embedding_noise=0.1,
    omics_noise=0.1,
    label_smoothing=0.1,
    focal_gamma=1.0,
    gradient_clip=1.0,
    ema=0.5,
)


@pytest.fixture(autouse=True)
def _in_float32(monkeypatch):
    # PyTorch has no autocast for a device that does not compute.
    for module in (fusion_loss, patch_run, patch_validation):
        monkeypatch.setattr(module, "autocast", lambda *_: nullcontext())


def compare(one, other):
    """Weights are the same but for rounding, blown up by AdamW where a gradient is 0.

    The bias of a risk has none: patients are compared by their differences.
    """
    for name, values in one.items():
        found = getattr(other[name], "inner", other[name])
        torch.testing.assert_close(found, values, rtol=1e-4, atol=1e-3)


def test_the_other_device_computes_and_refuses_what_is_not_there():
    near = torch.arange(3.0)
    with other_device() as device:
        far = near.to(device)
        assert (far.device, (far * 2).device) == (OTHER, OTHER)
        assert (far * 2).cpu().tolist() == [0.0, 2.0, 4.0]
        assert (far * torch.tensor(2.0)).sum().item() == 6.0
        assert torch.zeros(2, device=device).device == OTHER
        with pytest.raises(RuntimeError, match="tensors of two devices"):
            far + near
        with torch.inference_mode(), pytest.raises(RuntimeError, match="two devices"):
            torch.where(near > 1, far, far)


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize(
    "name",
    [
        "evidence",
        "cross_attention",
        "feature_concat",
        "gated",
        "bilinear",
        "late",
        "image_only",
        "rna_only",
    ],
)
def test_every_fusion_model_is_trained_there(name, accumulation):
    heads = make_heads()
    train, held_out = make_answers(34, seed=1), make_answers(9, seed=2, prefix="v")
    train.labels[::4] = -1
    config = replace(EVERYTHING, accumulation=accumulation)

    def fit(model):
        return run_job(fit_fusion(model, train, held_out, config, heads))

    known = fit(make_fusion(name, classes=heads.size))
    with other_device() as device:
        found = fit(make_fusion(name, classes=heads.size).to(device))
        answers = predict_logits(found.model, held_out)
        assert found.model.embedding_mean.device == device
    assert found.validation_losses == pytest.approx(known.validation_losses)
    compare(known.model.state_dict(), found.model.state_dict())
    known_answers = predict_logits(known.model, held_out)
    np.testing.assert_allclose(answers, known_answers, rtol=1e-4, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_a_training_moves_from_one_device_to_another(tmp_path):
    train, held_out = make_bags(20, seed=1), make_bags(8, seed=2, prefix="v")
    config = FusionTrainingConfig(epochs=3, patches_per_bag=6, ema=0.5)
    path = tmp_path / "fold.safetensors"
    known = run_job(fit_fusion(make_fusion(), train, held_out, config))
    job = fit_fusion(make_fusion(), train, held_out, config, checkpoint=path)
    next(job)
    job.close()
    with other_device() as device:
        model = make_fusion().to(device)
        found = run_job(fit_fusion(model, train, held_out, config, checkpoint=path))
    compare(known.model.state_dict(), found.model.state_dict())


def test_an_encoder_is_trained_there():
    patches, targets = two_colors(22)
    judges = two_colors(8, seed=3)
    config = PatchTrainingConfig(
        epochs=2, batch_size=7, accumulation=2, feature_noise=0.1, ema=0.5
    )

    def fit(encoder):
        job = fit_patch_encoder(encoder, patches, targets, config, validation=judges)
        return run_job(job)

    known = fit(make_encoder())
    with other_device() as device:
        found = fit(make_encoder().to(device))
        shares = found.probabilities(patches)
    assert found.validation_losses == pytest.approx(known.validation_losses)
    compare(known.encoder.state_dict(), found.encoder.state_dict())
    np.testing.assert_allclose(shares, known.probabilities(patches), atol=1e-6)


def test_a_fold_is_trained_where_it_is_asked_for_and_comes_back(tmp_path, monkeypatch):
    processors = {"cuda:1": Processor(OTHER, None)}
    monkeypatch.setattr(training_device, "choose_processor", processors.get)
    data = fold_data(tmp_path, n=32)
    variant = fusion_variants(data.preset)[0]
    with other_device():
        found = run_job(fit_fold_job(data, variant, device="cuda:1"))
    assert found.facts["device"] == str(OTHER)
    assert {p.device.type for p in found.model.parameters()} == {"cpu"}
    assert {type(p) for p in found.model.parameters()} == {torch.nn.Parameter}
    monkeypatch.undo()
    known = run_job(fit_fold_job(data, variant))
    assert known.facts["device"] == "cpu"
    pd.testing.assert_frame_equal(found.predictions, known.predictions, rtol=1e-4)
