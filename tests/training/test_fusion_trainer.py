from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from builders.training import make_answers, make_bags, make_fusion, make_heads
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.metrics import balanced_accuracy, roc_auc
from napari_mmsubtype.training.bags import collate
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_trainer import (
    FusionFit,
    fit_fusion,
    predict_logits,
)
from napari_mmsubtype.workflows.jobs import run_job

CONFIG = FusionTrainingConfig(
    epochs=40, learning_rate=5e-3, batch_size=32, patches_per_bag=8
)

CONFIG_1 = FusionTrainingConfig(epochs=1)


@pytest.fixture(scope="module")
def fit() -> FusionFit:
    train, validation = make_bags(160, seed=1), make_bags(60, seed=2, prefix="v")
    return run_job(fit_fusion(make_fusion(), train, validation, CONFIG))


def test_fusion_solves_what_neither_modality_can(fit: FusionFit) -> None:
    test = make_bags(200, seed=3, prefix="t")
    score = {
        name: balanced_accuracy(
            test.labels, predict_logits(fit.model, test.restricted(subset))
        )
        for name, subset in {
            "both": [Modality.IMAGE, Modality.RNA],
            "image": [Modality.IMAGE],
            "rna": [Modality.RNA],
        }.items()
    }
    assert score["both"] > 0.9
    assert 0.6 < score["image"] < score["both"] - 0.1
    assert 0.6 < score["rna"] < score["both"] - 0.1


@pytest.mark.parametrize("name", ["feature_concat", "gated", "bilinear", "late"])
def test_every_joint_family_learns_from_both(name: str) -> None:
    train, validation = make_bags(160, seed=1), make_bags(60, seed=2, prefix="v")
    fit = run_job(fit_fusion(make_fusion(name), train, validation, CONFIG))
    test = make_bags(200, seed=3, prefix="t")
    views = [test, *(test.restricted([m]) for m in test.modalities)]
    both, *alone = (
        balanced_accuracy(v.labels, predict_logits(fit.model, v)) for v in views
    )
    assert both > 0.83
    assert both > max(alone) + 0.06
    assert min(alone) > 0.6


@pytest.mark.parametrize("name", ["image_only", "rna_only"])
def test_baselines_learn_from_their_own_and_ignore_the_rest(name: str) -> None:
    train, validation = make_bags(80, seed=1), make_bags(30, seed=2, prefix="v")
    config = FusionTrainingConfig(epochs=15, learning_rate=5e-3, drop={})
    fit = run_job(fit_fusion(make_fusion(name), train, validation, config))
    test = make_bags(100, seed=3, prefix="t")
    logits = predict_logits(fit.model, test)
    assert 0.6 < balanced_accuracy(test.labels, logits) < 0.9
    own = test.restricted(fit.model.uses)
    np.testing.assert_allclose(predict_logits(fit.model, own), logits, atol=1e-5)


def concordance(targets, risks) -> float:
    """Of pairs of which one is known to die first, the share ordered by risk."""
    time, event = targets.T
    first = (event[:, None] == 1) & (time[:, None] < time)
    return float((risks[:, None] > risks)[first].mean())


def kaplan_meier(targets, until: float) -> float:
    """Count the share that survives, of those still followed at each death."""
    time, event = targets.T
    deaths = time[(event == 1) & (time < until)]
    return float(np.prod([1 - 1 / (time >= death).sum() for death in deaths]))


@pytest.fixture(scope="module")
def answering() -> FusionFit:
    heads = make_heads()
    train = make_answers(240, seed=1, known=0.8)
    validation = make_answers(80, seed=2, prefix="v")
    model = make_fusion(classes=heads.size)
    config = replace(CONFIG, epochs=30)
    return run_job(fit_fusion(model, train, validation, config, heads))


def test_three_heads_learn_what_was_planted_from_both_modalities(answering) -> None:
    heads, test = make_heads(), make_answers(200, seed=3, prefix="t")
    scores: dict[str, list[float]] = {"class": [], "stage": [], "risk": [], "curve": []}
    for view in (test, *(test.restricted([m]) for m in test.modalities)):
        logits = torch.from_numpy(predict_logits(answering.model, view))
        answers = {k: v.numpy() for k, v in heads.answers(logits).items()}
        scores["class"].append(balanced_accuracy(test.labels, answers["class"]))
        expected = answers["stage"] @ np.arange(4)
        scores["stage"].append(spearmanr(expected, test.targets["stage"]).statistic)
        for name, risk in (
            ("risk", answers["risk"][:, 0]),
            ("curve", -answers["survival"].sum(axis=1)),
        ):
            scores[name].append(concordance(test.targets["risk"], risk))
    floors = {"class": 0.88, "stage": 0.8, "risk": 0.74, "curve": 0.74}
    for name, (both, *alone) in scores.items():
        assert both > floors[name], scores
        assert both > max(alone) + 0.04, scores
        assert min(alone) > (0.3 if name == "stage" else 0.55), scores


def test_planted_survival_is_given_back_at_each_time(answering) -> None:
    heads, test = make_heads(), make_answers(400, seed=4, prefix="t")
    logits = torch.from_numpy(predict_logits(answering.model, test))
    curve = heads.answers(logits)["survival"].mean(dim=0).tolist()
    # Averaged over patients, the curve is what Kaplan and Meier count.
    for chance, edge in zip(curve, (4.0, 12.0), strict=False):
        counted = kaplan_meier(test.targets["survival"], edge)
        assert chance == pytest.approx(counted, abs=0.08)


def test_further_heads_share_the_trunk_without_ruining_the_class(
    fit, answering
) -> None:
    test = make_bags(200, seed=3, prefix="t")
    alone = balanced_accuracy(test.labels, predict_logits(fit.model, test))
    logits = predict_logits(answering.model, test)[:, :2]
    assert balanced_accuracy(test.labels, logits) > alone - 0.05


@pytest.mark.parametrize("name", ["late", "cross_attention"])
def test_training_with_heads_repeats_and_needs_every_class_of_no_one(name) -> None:
    heads, train = make_heads(), make_answers(40, seed=1, known=0.6)
    train.labels[::2] = -1
    held_out = make_answers(16, seed=2, prefix="v")
    config = FusionTrainingConfig(epochs=2, consistency=0.1, batch_size=16)
    states = [
        run_job(
            fit_fusion(
                make_fusion(name, classes=heads.size), train, held_out, config, heads
            )
        ).model.state_dict()
        for _ in range(2)
    ]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert all(v.isfinite().all() for v in states[0].values())


def test_heads_that_do_not_fit_are_refused_before_training() -> None:
    train, validation = make_answers(10, seed=1), make_answers(10, seed=2, prefix="v")
    job = fit_fusion(make_fusion(), train, validation, CONFIG, make_heads())
    with pytest.raises(ConfigurationError, match="heads take 9 logits"):
        run_job(job)


def test_marked_patches_carry_the_evidence(fit: FusionFit) -> None:
    test = make_bags(30, seed=4, prefix="t")
    marked, evidence = [], []
    for i in range(len(test)):
        bag = torch.from_numpy(test.bags[i].astype(np.float32))[None]
        rna = torch.from_numpy(test.omics[Modality.RNA][i : i + 1])
        with torch.no_grad():
            out = fit.model(
                bag,
                torch.ones(1, bag.shape[1], dtype=torch.bool),
                {"rna": rna},
                torch.ones(1, 2, dtype=torch.bool),
            )
        evidence.append((out.evidence[0, :, 1] - out.evidence[0, :, 0]).numpy())
        marked.append(bag[0, :, 0].numpy() > 2.5)
    truth, values = np.concatenate(marked), np.concatenate(evidence)
    assert roc_auc(truth.astype(int), np.stack([-values, values], axis=1)) > 0.95


def test_best_epoch_is_the_one_that_is_kept(fit: FusionFit) -> None:
    losses = fit.validation_losses
    assert losses[fit.best_epoch] == min(losses)
    assert not fit.model.training


def test_training_repeats_bit_by_bit() -> None:
    train, validation = make_bags(30, seed=1), make_bags(10, seed=2, prefix="v")
    config = FusionTrainingConfig(
        epochs=2, consistency=0.1, omics_noise=0.1, embedding_noise=0.1
    )
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fits = [
        run_job(fit_fusion(make_fusion(), train, validation, config)) for _ in range(2)
    ]
    assert torch.equal(torch.rand(1), expected)
    first, second = (f.model.state_dict() for f in fits)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_statistics_come_from_training_cases_only() -> None:
    train, validation = make_bags(20, seed=1), make_bags(10, seed=2, prefix="v")
    config = FusionTrainingConfig(epochs=1)
    other = make_bags(10, seed=2, prefix="v")
    for bag in other.bags:
        bag += 100
    models = [
        run_job(fit_fusion(make_fusion(), train, held_out, config)).model
        for held_out in (validation, other)
    ]
    first, second = (m.state_dict() for m in models)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_training_stops_when_validation_no_longer_improves() -> None:
    train, validation = make_bags(40, seed=1), make_bags(20, seed=2, prefix="v")
    flipped = validation.take(range(20))
    flipped.labels[:] = 1 - flipped.labels
    config = FusionTrainingConfig(epochs=50, learning_rate=1e-2, patience=3)
    fit = run_job(fit_fusion(make_fusion(), train, flipped, config))
    assert len(fit.validation_losses) < 50
    assert len(fit.validation_losses) == fit.best_epoch + 4


def test_shared_patients_are_refused() -> None:
    cases = make_bags(10)
    with pytest.raises(ValueError, match="split by patient"):
        run_job(fit_fusion(make_fusion(), cases, cases.take([3]), CONFIG))


def evidence_change(model, cases) -> float:
    """How far the tables move the evidence of the patches."""
    batch = collate(cases, range(len(cases)))
    bare = batch.present.clone()
    bare[:, 1:] = False
    with torch.no_grad():
        given = (batch.bag, batch.mask, batch.omics)
        change = model(*given, batch.present).evidence - model(*given, bare).evidence
    return float(change.abs().mean())


def test_steadiness_keeps_tables_from_speaking_through_the_patches() -> None:
    train, validation = make_bags(60, seed=1), make_bags(20, seed=2, prefix="v")
    free, steady = (
        run_job(
            fit_fusion(
                make_fusion(),
                train,
                validation,
                FusionTrainingConfig(
                    epochs=15, learning_rate=5e-3, patience=15, steadiness=weight
                ),
            )
        ).model
        for weight in (0.0, 10.0)
    )
    assert evidence_change(steady, validation) < 0.5 * evidence_change(free, validation)


def test_prediction_does_not_depend_on_the_batch(fit: FusionFit) -> None:
    cases = make_bags(20, seed=5)
    cases.bags[3] = cases.bags[3][:4]
    whole = predict_logits(fit.model, cases)
    single = np.concatenate(
        [predict_logits(fit.model, cases.take([i])) for i in range(20)]
    )
    assert np.allclose(whole, single, atol=1e-5)


def test_progress_carries_the_curves() -> None:
    train, validation = make_bags(20, seed=1), make_bags(10, seed=2, prefix="v")
    events: list[Progress] = []
    job = fit_fusion(make_fusion(), train, validation, replace(CONFIG_1, epochs=2))
    fit = run_job(job, events.append)
    last = events[-1].partial
    assert last.training_losses == fit.training_losses
    assert last.validation_losses == fit.validation_losses
    assert last.learning_rates == fit.learning_rates
    assert [len(event.partial.learning_rates) for event in events] == [1, 2]
