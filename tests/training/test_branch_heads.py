from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from builders.training import make_encoder
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.training.branch_heads import make_branch_heads
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.workflows.jobs import run_job


@pytest.fixture(scope="module")
def encoder():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield create_encoder(
        "resvit",
        input_size=64,
        cnn="resnet18",
        vit_dim=16,
        vit_depth=4,
        vit_heads=2,
        dim=24,
        heads=2,
    )
    torch.set_num_threads(threads)


def test_the_loss_is_the_weighted_sum_of_its_parts(encoder):
    torch.manual_seed(2)
    both = PatchTrainingConfig(branch_weight=0.3, alignment_weight=0.1)
    heads = make_branch_heads(encoder, 2, both)
    images = torch.randn(3, 3, 64, 64)
    targets = torch.eye(2)[[0, 1, 1]][:, :, None, None]
    with torch.inference_mode():
        found = heads.features(images)
        torch.testing.assert_close(found.map, encoder.feature_map(images))
        loss = heads.loss(found, targets, both)
        labels = torch.tensor([0, 1, 1])
        branches = F.cross_entropy(heads.cnn(found.cnn_pooled), labels)
        branches += F.cross_entropy(heads.vit(found.class_token), labels)
        expected = 0.3 * branches + 0.1 * heads.alignment(found.tokens)
    torch.testing.assert_close(loss, expected)


def test_the_heads_do_not_own_the_encoder(encoder):
    config = PatchTrainingConfig(branch_weight=1.0)
    heads = make_branch_heads(encoder, 2, config)
    inner = {id(p) for p in encoder.parameters()}
    assert inner.isdisjoint(id(p) for p in heads.parameters())


def test_training_with_branch_heads_changes_what_is_learned(encoder):
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 255, (8, 64, 64, 3)).astype(np.uint8)
    targets = np.eye(2, dtype=np.float32)[np.arange(8) % 2]
    start = {k: v.clone() for k, v in encoder.state_dict().items()}
    states = []
    for weight in (0.0, 0.5, 0.5):
        encoder.load_state_dict(start)
        config = PatchTrainingConfig(epochs=1, batch_size=4, branch_weight=weight)
        fit = run_job(fit_patch_encoder(encoder, patches, targets, config))
        assert not encoder.training
        states.append(fit.encoder.body.vit.conv_proj.weight.detach().clone())
    encoder.load_state_dict(start)
    assert torch.equal(states[1], states[2])
    assert not torch.allclose(states[0], states[1])


def test_nothing_is_made_where_nothing_is_asked(encoder):
    assert make_branch_heads(encoder, 2, PatchTrainingConfig()) is None
    assert make_branch_heads(make_encoder(), 2, PatchTrainingConfig()) is None


def test_encoders_without_branches_are_refused():
    config = PatchTrainingConfig(alignment_weight=0.1)
    with pytest.raises(ConfigurationError, match=r"for encoders with branches"):
        make_branch_heads(make_encoder(), 2, config)


def test_branches_are_validated_kept_and_gone_on_with(encoder, tmp_path):
    rng = np.random.default_rng(1)
    patches = rng.integers(0, 255, (8, 64, 64, 3)).astype(np.uint8)
    targets = np.eye(2, dtype=np.float32)[np.arange(8) % 2]
    start = {k: v.clone() for k, v in encoder.state_dict().items()}
    config = PatchTrainingConfig(
        epochs=2, batch_size=4, ema=0.5, branch_weight=0.5, alignment_weight=0.1
    )

    def job(checkpoint):
        encoder.load_state_dict(start)
        return fit_patch_encoder(
            encoder,
            patches[:6],
            targets[:6],
            config,
            validation=(patches[6:], targets[6:]),
            checkpoint=checkpoint,
        )

    states = []
    stopped = job(tmp_path / "parts.safetensors")
    next(stopped)
    stopped.close()
    for name in ("whole", "parts"):
        fit = run_job(job(tmp_path / f"{name}.safetensors"))
        states.append({k: v.clone() for k, v in encoder.state_dict().items()})
        assert len(fit.validation_losses) == 2
    encoder.load_state_dict(start)
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert any(not torch.equal(states[0][k], start[k]) for k in start)
