"""Every family gives calibrated probabilities from every subset of the modalities."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from napari_mmsubtype.core.cases import Modality, subset_key, subsets
from napari_mmsubtype.evaluation.calibration import expected_calibration_error
from napari_mmsubtype.models.fusion import create_fusion, list_fusions
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_trainer import fit_fusion, predict_logits
from napari_mmsubtype.workflows.demo_trust import fit_calibration
from napari_mmsubtype.workflows.jobs import run_job

TOLERATED = 0.05
"""What calibrated means here: probabilities of the most probable class are off by less
than five points beyond what 400 perfectly true ones would show, 999 times in 1,000."""
FITTED_WRONG = chi2.ppf(0.999, 3) / (2 * 300)
"""What a temperature and two free offsets, fitted to 300 patients, cost in nats by
chance: half a chi-squared of three degrees of freedom among them all."""

SUBSETS = [subset_key(subset) for subset in subsets(tuple(Modality))]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def benchmark(repository):
    path = repository / "benchmarks" / "calibration.py"
    spec = importlib.util.spec_from_file_location("benchmark_calibration", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks itself up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("name", list_fusions())
def test_no_subset_of_any_family_boasts(benchmark, name):
    # With fewer epochs `evidence` has no idea of images yet, and nothing to calibrate.
    sizes = benchmark.Sizes(
        train=160, validation=300, fresh=400, epochs=8, bins=10, refits=0
    )
    found = benchmark.measure(name, sizes, seed=0)
    assert list(found) == SUBSETS
    for subset, score in found.items():
        assert score["ece_after"] < score["honest_999"] + TOLERATED, (subset, score)
        worse = score["log_loss_after"] - score["log_loss_before"]
        assert worse < FITTED_WRONG, (subset, score)
    before, after = (
        np.mean([score[f"log_loss_{when}"] for score in found.values()])
        for when in ("before", "after")
    )
    assert after < before - 0.005


def test_the_error_by_chance_is_that_of_labels_drawn_from_the_probabilities(benchmark):
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet([2.0, 1.0, 0.5], size=217)
    sizes = benchmark.Sizes(bins=10, chances=4000)
    found = benchmark.honest(probabilities, sizes, draw)
    errors = [
        expected_calibration_error(
            [draw.choice(3, p=row) for row in probabilities], probabilities, bins=10
        )
        for _ in range(300)
    ]
    spread = 4 * np.std(errors) / np.sqrt(300)
    assert found["honest"] == pytest.approx(np.mean(errors), abs=spread)
    assert np.mean(np.array(errors) > found["honest_95"]) == pytest.approx(
        0.05, abs=0.05
    )
    assert found["honest_95"] < found["honest_999"] < found["honest"] + 0.1


@pytest.mark.parametrize("name", ["image_only", "rna_only"])
def test_a_baseline_without_its_modality_gives_the_shares_of_the_classes(
    benchmark, name
):
    train = benchmark.draw_patients(300, (5, 0), "t")
    validation = benchmark.draw_patients(300, (5, 1), "v")
    torch.manual_seed(0)
    tables = {m.value: benchmark.FEATURES for m in Modality if m != Modality.IMAGE}
    model = create_fusion(name, dim=benchmark.DIM, classes=3, omics=tables)
    config = FusionTrainingConfig(epochs=2, learning_rate=3e-3)
    model = run_job(fit_fusion(model, train, validation, config)).model
    fitted = fit_calibration(model, validation, validation.take(range(3)))
    others = [m for m in Modality if m not in model.uses]
    logits = predict_logits(model, train.restricted(others))
    np.testing.assert_allclose(logits, logits[:1].repeat(300, axis=0), atol=1e-6)
    given = fitted.probabilities(subset_key(others), logits[0])
    shares = np.bincount(train.labels) / len(train)
    # Within four standard deviations of both draws.
    spread = 4 * np.sqrt(shares * (1 - shares) * 2 / 300)
    assert (np.abs(given - shares) < spread).all(), (given, shares)
