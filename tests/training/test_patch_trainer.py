from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.training import make_encoder, two_colors
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.training.stored_patches import StoredPatches
from napari_mmsubtype.training.weight_average import WeightAverage
from napari_mmsubtype.workflows.jobs import run_job

PLAIN = PatchTrainingConfig(stain_jitter=0.0, tint_jitter=0.0)


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


def run(config: PatchTrainingConfig, encoder=None, n: int = 24, cells: bool = True):
    patches, targets = two_colors(n)
    if not cells:
        targets = targets.mean(axis=(2, 3))
    encoder = make_encoder() if encoder is None else encoder
    return run_job(fit_patch_encoder(encoder, patches, targets, config))


def without_norm():
    encoder = make_encoder()
    encoder.body[1] = torch.nn.Identity()
    return encoder


def weights(fit) -> torch.Tensor:
    state = [*fit.encoder.parameters(), *fit.head.parameters()]
    return torch.cat([p.detach().flatten() for p in state])


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_parts_of_a_batch_make_the_step_of_the_whole(gamma: float) -> None:
    options = {
        "epochs": 2,
        "batch_size": 10,
        "feature_penalty": 0.1,
        "class_weights": True,
        "focal_gamma": gamma,
        "gradient_clip": 0.5,
    }
    whole, parts = (
        run(PatchTrainingConfig(accumulation=k, **options), without_norm())
        for k in (1, 4)
    )
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-4, atol=1e-6)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)
    other = run(PatchTrainingConfig(**{**options, "batch_size": 3}), without_norm())
    assert (weights(other) - weights(whole)).abs().max() > 1e-4


def test_averaged_weights_are_those_of_every_step() -> None:
    steps = []
    encoder = make_encoder()
    update = WeightAverage.update

    def watch(self, module) -> None:
        steps.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
        update(self, module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WeightAverage, "update", watch)
        fit = run(PatchTrainingConfig(epochs=3, batch_size=8, ema=0.8), encoder)
    assert len(steps) == 9
    shares = torch.tensor([0.8 ** (9 - i) for i in range(1, 10)])
    expected = (shares[:, None] * torch.stack(steps)).sum(dim=0) / shares.sum()
    torch.testing.assert_close(weights(fit), expected, rtol=1e-4, atol=1e-6)
    assert fit.encoder is encoder


def test_half_precision_learns_the_same_with_weights_of_full_precision() -> None:
    options = {"epochs": 10, "learning_rate": 0.02, "batch_size": 16}
    full, half = (
        run(PatchTrainingConfig(precision=p, **options), n=64)
        for p in ("float32", "bfloat16")
    )
    assert weights(half).dtype is torch.float32
    assert half.losses != full.losses
    assert half.losses[-1] == pytest.approx(full.losses[-1], rel=0.2)
    assert half.losses[-1] < 0.5 * half.losses[0]


def test_frozen_layers_and_their_statistics_stay_and_the_rest_moves() -> None:
    start = make_encoder().state_dict()
    fit = run(PatchTrainingConfig(epochs=10, learning_rate=0.05, frozen=1.0))
    end = fit.encoder.state_dict()
    assert all(torch.equal(end[k], start[k]) for k in start)
    assert all(p.requires_grad for p in fit.encoder.parameters())
    assert fit.losses[-1] < fit.losses[0]
    half = run(PatchTrainingConfig(epochs=2, frozen=0.5)).encoder.state_dict()
    assert torch.equal(half["body.0.weight"], start["body.0.weight"])
    assert not torch.equal(half["body.1.weight"], start["body.1.weight"])


def test_the_head_learns_before_the_backbone_moves() -> None:
    start = make_encoder().state_dict()
    states = []
    patches, targets = two_colors(24)
    encoder = make_encoder()
    config = PatchTrainingConfig(epochs=3, head_first_epochs=2)
    for _ in fit_patch_encoder(encoder, patches, targets, config):
        states.append({k: v.clone() for k, v in encoder.state_dict().items()})
    same = [all(torch.equal(s[k], start[k]) for k in start) for s in states]
    assert same == [True, True, False]


def test_learning_rates_are_those_of_the_schedule() -> None:
    config = PatchTrainingConfig(epochs=3, batch_size=8, warmup=0.0)
    assert run(config).learning_rates == tuple(config.rate(s, 9) for s in (2, 5, 8))


def test_patches_may_lie_in_a_file(tmp_path) -> None:
    patches, targets = two_colors(12)
    np.save(tmp_path / "patches.npy", patches)
    stored = np.load(tmp_path / "patches.npy", mmap_mode="r")
    config = PatchTrainingConfig(epochs=1)
    first, second = (
        weights(run_job(fit_patch_encoder(make_encoder(), p, targets, config)))
        for p in (patches, stored)
    )
    assert torch.equal(first, second)


ENCODERS = {
    "demo-cnn": {},
    "resnet18": {"small_stem": True},
    "squeezenet1_1": {},
    "timm:vit_tiny_patch16_224": {},
}


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_every_kind_of_encoder_can_be_tuned_and_repeats(name: str) -> None:
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    labels = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    config = PatchTrainingConfig(
        epochs=1,
        batch_size=4,
        warmup=0.0,
        layer_decay=0.8,
        frozen=0.3,
        randaug_ops=1,
        ema=0.5,
        gradient_clip=1.0,
    )
    states = []
    torch.manual_seed(4)
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            encoder = create_encoder(name, input_size=64, **ENCODERS[name])
        start = [p.detach().clone() for p in encoder.parameters()]
        before = torch.get_rng_state()
        run_job(fit_patch_encoder(encoder, patches, labels, config))
        assert torch.equal(torch.get_rng_state(), before)
        states.append(encoder.state_dict())
    moved = [
        not torch.equal(a, b) for a, b in zip(start, encoder.parameters(), strict=True)
    ]
    assert not moved[0]
    assert sum(moved[-8:]) >= 4
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_a_cancelled_training_goes_on_and_another_is_refused(tmp_path) -> None:
    patches, targets = two_colors(20)
    config = PatchTrainingConfig(epochs=3, batch_size=8, ema=0.9)
    path = tmp_path / "encoder.safetensors"

    def job(config: PatchTrainingConfig = config, kept=path):
        return fit_patch_encoder(
            make_encoder(), patches, targets, config, checkpoint=kept
        )

    first = job()
    next(first)
    first.close()
    events: list[Progress] = []
    again = run_job(job(), events.append)
    assert events[0].message == "going on after epoch 1, step 0"
    assert [event.done for event in events] == [1, 2, 3]
    whole = run_job(job(kept=None))
    assert torch.equal(weights(again), weights(whole))
    assert again.losses == whole.losses
    finished = run_job(job())
    assert torch.equal(weights(finished), weights(whole))
    with pytest.raises(ConfigurationError, match=r"ema \(0.9 there, 0.5 here\)"):
        run_job(job(PatchTrainingConfig(epochs=3, batch_size=8, ema=0.5)))


def test_validation_keeps_the_best_epoch_and_ends_the_training(tmp_path) -> None:
    patches, targets = two_colors(24)
    # The held-out labels are wrong: whatever is learned makes them less likely.
    held_out = (two_colors(12, seed=3)[0], two_colors(12, seed=3)[1][:, ::-1].copy())
    config = PatchTrainingConfig(epochs=30, learning_rate=0.02, patience=2)
    encoder, path = make_encoder(), tmp_path / "encoder.safetensors"

    def job(encoder):
        return fit_patch_encoder(
            encoder, patches, targets, config, validation=held_out, checkpoint=path
        )

    seen = []

    def note(_: Progress) -> None:
        weight = encoder.body[0].weight.detach().clone()
        seen.append(weight)

    fit = run_job(job(encoder), note)
    losses = fit.validation_losses
    assert len(losses) == len(fit.losses) == fit.best_epoch + 3 < 30
    assert min(losses) == losses[fit.best_epoch]
    assert torch.equal(encoder.body[0].weight, seen[fit.best_epoch])
    assert not torch.equal(encoder.body[0].weight, seen[-1])
    again = run_job(job(make_encoder()))
    assert torch.equal(weights(again), weights(fit))
    assert again.best_epoch == fit.best_epoch
    held_out[0][0, 0, 0] += 1
    with pytest.raises(ConfigurationError, match="validation patches: pixels"):
        run_job(job(make_encoder()))


def test_without_validation_every_epoch_is_run_and_the_last_is_kept() -> None:
    fit = run(PatchTrainingConfig(epochs=4, patience=1))
    assert (len(fit.losses), fit.validation_losses, fit.best_epoch) == (4, (), 3)


def test_patches_on_disk_train_as_those_in_memory(tmp_path) -> None:
    patches, targets = two_colors(20)
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, part in zip(paths, np.split(patches, [3, 4]), strict=True):
        np.save(path, part)
    config = PatchTrainingConfig(epochs=2, batch_size=8)
    one, other = (
        run_job(fit_patch_encoder(make_encoder(), given, targets, config))
        for given in (patches, StoredPatches(paths))
    )
    assert torch.equal(weights(one), weights(other))
