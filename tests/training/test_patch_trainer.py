from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.training import make_encoder
from napari_mmsubtype.training import patch_trainer
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_trainer import (
    augment,
    fit_patch_encoder,
    restain,
)
from napari_mmsubtype.workflows.jobs import run_job

PLAIN = PatchTrainingConfig(stain_jitter=0.0, tint_jitter=0.0)


def two_colors(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Patches whose left half is purple or pink; labels by cell (2 x 2)."""
    rng = np.random.default_rng(seed)
    purple, pink = np.array([110, 60, 150]), np.array([230, 150, 190])
    side = rng.integers(0, 2, (n, 2, 2))
    color = np.where(side[..., None] == 1, purple, pink)
    patches = color.repeat(8, axis=1).repeat(8, axis=2)
    patches = patches + rng.normal(0, 12, patches.shape)
    targets = np.stack([side == 0, side == 1], axis=1).astype(np.float32)
    return patches.clip(0, 255).astype(np.uint8), targets


def test_encoder_learns_cells_and_not_only_patches() -> None:
    patches, targets = two_colors(128)
    encoder = make_encoder()
    config = PatchTrainingConfig(epochs=20, learning_rate=0.02, batch_size=32)
    fit = run_job(fit_patch_encoder(encoder, patches, targets, config))
    assert fit.losses[-1] < 0.3 * fit.losses[0]
    test, truth = two_colors(32, seed=9)
    with torch.no_grad():
        features = encoder.feature_map(encoder.normalize(torch.from_numpy(test)))
        logits = torch.einsum("kd,ndyx->nkyx", fit.head.weight, features)
        logits = logits + fit.head.bias[:, None, None]
    assert (logits.argmax(dim=1).numpy() == truth.argmax(axis=1)).mean() > 0.95
    share = fit.probabilities(test)
    assert share.shape == (32, 2)
    assert np.allclose(share.sum(axis=1), 1, atol=1e-5)


def test_patch_targets_train_the_pooled_embedding() -> None:
    patches, targets = two_colors(96, seed=1)
    labels = targets.mean(axis=(2, 3))
    encoder = make_encoder()
    config = PatchTrainingConfig(epochs=15, learning_rate=0.02)
    fit = run_job(fit_patch_encoder(encoder, patches, labels, config))
    assert fit.losses[-1] < fit.losses[0]
    assert np.corrcoef(fit.probabilities(patches)[:, 1], labels[:, 1])[0, 1] > 0.8


def test_training_repeats_bit_by_bit_and_leaves_the_global_seed_alone() -> None:
    patches, targets = two_colors(40)
    config = PatchTrainingConfig(epochs=2, seed=5)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    states = [
        run_job(fit_patch_encoder(make_encoder(), patches, targets, config))
        for _ in range(2)
    ]
    assert torch.equal(torch.rand(1), expected)
    first, second = (fit.encoder.state_dict() for fit in states)
    assert all(torch.equal(first[k], second[k]) for k in first)
    other = PatchTrainingConfig(epochs=2, seed=6)
    third = run_job(fit_patch_encoder(make_encoder(), patches, targets, other))
    assert not torch.equal(
        third.encoder.state_dict()["body.0.weight"], first["body.0.weight"]
    )


@pytest.mark.parametrize("cell", [(0, 0), (1, 1)])
def test_cells_without_a_label_do_not_move_the_loss(cell: tuple[int, int]) -> None:
    patches, targets = two_colors(16)
    row, column = cell
    targets[:, :, row, column] = 0
    altered = patches.copy()
    altered[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 0
    encoder = make_encoder()
    encoder.body[1] = torch.nn.Identity()  # batch statistics would see the cell
    head = torch.nn.Linear(5, 2)
    losses = [
        patch_trainer._loss(
            head,
            encoder.feature_map(encoder.normalize(torch.from_numpy(images))),
            torch.from_numpy(targets),
            PLAIN,
        ).item()
        for images in (patches, altered)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_cell_labels_turn_with_the_patch() -> None:
    # The label of each cell is the mean red of that cell, so they must agree after.
    patches, _ = two_colors(64)
    images = torch.from_numpy(patches)
    red = images[..., 0].float().reshape(64, 2, 8, 2, 8).mean(dim=(2, 4))[:, None]
    turned, cells = augment(images, red, PLAIN, torch.Generator().manual_seed(0))
    again = turned[..., 0].float().reshape(64, 2, 8, 2, 8).mean(dim=(2, 4))[:, None]
    assert torch.allclose(cells, again)
    assert not torch.equal(turned, images)
    assert torch.equal(images, torch.from_numpy(patches))


def test_all_eight_poses_occur() -> None:
    image = torch.arange(16 * 16 * 3).remainder(251).to(torch.uint8).view(1, 16, 16, 3)
    many = image.repeat(200, 1, 1, 1)
    turned, _ = augment(
        many, torch.zeros(200, 1, 1, 1), PLAIN, torch.Generator().manual_seed(0)
    )
    assert len({t.numpy().tobytes() for t in turned}) == 8


def test_restaining_keeps_white_and_zero_jitter_keeps_all() -> None:
    generator = torch.Generator().manual_seed(0)
    white = torch.full((8, 4, 4, 3), 255, dtype=torch.uint8)
    strong = PatchTrainingConfig(stain_jitter=0.5, tint_jitter=0.3)
    assert torch.equal(restain(white, strong, generator), white)
    patches = torch.from_numpy(two_colors(4)[0])
    assert torch.equal(restain(patches, PLAIN, generator), patches)
    assert not torch.equal(restain(patches, strong, generator), patches)


def test_restaining_without_spread_is_the_identity_up_to_rounding() -> None:
    patches = torch.from_numpy(two_colors(4)[0])
    tiny = PatchTrainingConfig(stain_jitter=1e-7, tint_jitter=0.0)
    out = restain(patches, tiny, torch.Generator().manual_seed(0))
    assert (out.int() - patches.int()).abs().max() <= 1


def test_targets_must_fit_the_patches() -> None:
    patches, targets = two_colors(4)
    with pytest.raises(ValueError, match="targets of shape"):
        run_job(fit_patch_encoder(make_encoder(), patches, targets[:3], PLAIN))


def test_cancelled_training_leaves_the_encoder_in_evaluation_mode() -> None:
    patches, targets = two_colors(8)
    encoder = make_encoder()
    job = fit_patch_encoder(encoder, patches, targets, PLAIN)
    assert next(job).stage == "patch training"
    job.close()
    assert not encoder.training


def test_the_backbone_has_a_rate_of_its_own() -> None:
    patches, targets = two_colors(16)
    moved = {}
    for rate in (1.0, 1e-6):
        encoder = make_encoder()
        start = encoder.body[0].weight.detach().clone()
        config = PatchTrainingConfig(epochs=1, backbone_rate=rate, learning_rate=0.01)
        fit = run_job(fit_patch_encoder(encoder, patches, targets, config))
        moved[rate] = (encoder.body[0].weight.detach() - start).abs().max().item()
        assert fit.head.weight.isfinite().all()
    assert moved[1.0] > 1e-3
    assert moved[1e-6] < 1e-6


def test_rare_classes_weigh_as_much_as_frequent_ones() -> None:
    targets = torch.zeros(10, 3, 2, 2)
    targets[:8, 0] = 1
    targets[8:, 1] = 1
    config = PatchTrainingConfig(class_weights=True)
    weights = patch_trainer._class_weights(targets, config)
    total = (targets * weights[:, None, None]).sum(dim=(0, 2, 3))
    assert total.tolist() == pytest.approx([20.0, 20.0, 0.0])
    plain = patch_trainer._class_weights(targets, PLAIN)
    assert plain.tolist() == [1.0, 1.0, 1.0]
    with_weights, without = (
        run_job(
            fit_patch_encoder(
                make_encoder(),
                *two_colors(12),
                PatchTrainingConfig(epochs=1, class_weights=on),
            )
        ).losses
        for on in (True, False)
    )
    assert with_weights != without
