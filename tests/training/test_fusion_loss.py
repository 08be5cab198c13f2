from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from builders.training import make_answers, make_bags, make_fusion, make_heads
from napari_mmsubtype.training.bags import collate
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_loss import UNKNOWN, FusionLoss, forward

PLAIN = FusionTrainingConfig(alone_weight=0.0)
WEIGHTS = torch.tensor([0.5, 2.0])


@pytest.fixture
def batch():
    return collate(make_answers(24, known=0.7), range(24))


def logits_like(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(batch.labels), make_heads().size, generator=generator)


def test_it_is_the_weighted_sum_over_heads(batch):
    logits, heads = logits_like(batch), make_heads()
    config = FusionTrainingConfig(head_weights={"stage": 0.5, "survival": 0.0})
    found = FusionLoss(WEIGHTS, config, heads).of_answers(
        logits, batch.labels, batch.targets
    )
    parts = heads.losses(logits, batch.targets)
    entropy = F.cross_entropy(logits[:, :2], batch.labels, WEIGHTS)
    torch.testing.assert_close(found, entropy + 0.5 * parts["stage"] + parts["risk"])


def test_without_heads_it_is_the_cross_entropy():
    batch, model = collate(make_bags(24), range(24)), make_fusion().eval()
    loss = FusionLoss(WEIGHTS, FusionTrainingConfig(alone_weight=0.3))
    output = forward(model, batch)
    whole, *alone = (
        F.cross_entropy(logits, batch.labels, WEIGHTS)
        for logits in (
            output.logits,
            output.modality_logits["image"],
            output.modality_logits["rna"],
        )
    )
    expected = whole + 0.3 * (alone[0] + alone[1]) / 2
    torch.testing.assert_close(loss(model, batch, batch.present), expected)


def test_labels_are_smoothed_in_training_alone(batch):
    config = FusionTrainingConfig(label_smoothing=0.2)
    loss = FusionLoss(WEIGHTS, config, make_heads())
    given = (logits_like(batch), batch.labels, batch.targets)
    plain = FusionLoss(WEIGHTS, PLAIN, make_heads()).of_answers(*given)
    assert torch.equal(loss.of_answers(*given, smooth=False), plain)
    assert loss.of_answers(*given) != plain


def test_unknown_targets_do_not_matter(batch):
    logits, loss = logits_like(batch), FusionLoss(WEIGHTS, PLAIN, make_heads())
    batch.labels[::3] = UNKNOWN
    before = loss.of_answers(logits, batch.labels, batch.targets)
    nobody = batch.labels == UNKNOWN
    for values in batch.targets.values():
        nobody &= values.isnan().view(len(nobody), -1).any(dim=1)
    assert nobody.any(), "some case must be unknown to every head"
    other = torch.where(nobody[:, None], logits_like(batch, seed=9), logits)
    after = loss.of_answers(other, batch.labels, batch.targets)
    torch.testing.assert_close(after, before)
    # The class of a case is unknown, but its stage still teaches.
    free = logits.clone().requires_grad_()
    loss.of_answers(free, batch.labels, batch.targets).backward()
    assert not free.grad[::3, :2].any()
    staged = ~batch.targets["stage"].isnan()
    assert free.grad[staged, 2].all()


def test_a_batch_that_knows_nothing_costs_nothing(batch):
    labels = torch.full_like(batch.labels, UNKNOWN)
    targets = {n: torch.full_like(v, float("nan")) for n, v in batch.targets.items()}
    logits = logits_like(batch).requires_grad_()
    loss = FusionLoss(WEIGHTS, PLAIN, make_heads()).of_answers(logits, labels, targets)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_agreement_is_that_of_the_classes(batch):
    model, heads = make_fusion(classes=make_heads().size).eval(), make_heads()
    config = FusionTrainingConfig(alone_weight=0.0, consistency=2.0)
    kept = batch.present.clone()
    kept[:, 1] = False
    found = FusionLoss(WEIGHTS, config, heads)(model, batch, kept)
    hidden, whole = (forward(model, batch, p).logits for p in (kept, None))
    plain = FusionLoss(WEIGHTS, PLAIN, heads)(model, batch, kept)
    divergence = F.kl_div(
        hidden[:, :2].log_softmax(1), whole[:, :2].softmax(1), reduction="batchmean"
    )
    torch.testing.assert_close(found, plain + 2 * divergence)
