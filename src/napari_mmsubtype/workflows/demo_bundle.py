"""Make the demo bundle: synthetic cohort, encoder, fusion model and card."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.evaluation.calibration import fit_temperature
from napari_mmsubtype.models.bundle_writer import save_bundle
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.omics.synthetic import SyntheticCohort, synthetic_cohort
from napari_mmsubtype.training.bags import embed_patches
from napari_mmsubtype.training.config import FusionTrainingConfig, PatchTrainingConfig
from napari_mmsubtype.training.fusion_trainer import (
    embedding_statistics,
    fit_fusion,
    predict_logits,
)
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.workflows.demo_card import (
    card_facts,
    describe_scores,
    describe_scoring,
)
from napari_mmsubtype.workflows.demo_evaluation import (
    EvidenceScore,
    SubsetScore,
    feature_weights,
    score_evidence,
    score_subsets,
)
from napari_mmsubtype.workflows.demo_patients import (
    Split,
    cell_shares,
    encode_patches,
    fit_tables,
    make_bag_set,
    map_ahead,
    render_patches,
    split_patients,
)
from napari_mmsubtype.workflows.jobs import run_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.models.encoders import Encoder

PATCH = PatchSpec(size_px=128, mpp=0.5, stride_px=128, min_tissue=0.5)
CLASSES = (LUMINAL, BASAL_HER2)
VERSION = "1.0.0"
_THREADS = 2
_OUT = Path("src/napari_mmsubtype/bundles/demo")  # from the top of a checkout


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoBundleConfig:
    """How large a demo bundle's cohort is and how its models are trained.

    Attributes
    ----------
    patients : int
        Of the synthetic cohort, all parts together.
    slide_size_px : int
        Height and width of their slides.
    seed : int
        Of the cohort, the split and the first weights.
    validation, test : float
        Parts of the cohort.
    encoder_slides, patches_per_slide : int
        Training slides that the encoder is trained on, and patches of each.
    encoder : PatchTrainingConfig
        Training of the encoder.
    fusion : FusionTrainingConfig
        Training of the fusion model.
    token_dim : int
        Length of the token of each table in the fusion model.
    dropout : float
        Of the fusion model.
    bootstrap : int
        Resamples behind the intervals of the card.
    """

    patients: int = 480
    slide_size_px: int = 1024
    seed: int = 11
    validation: float = 0.2
    test: float = 0.25
    encoder_slides: int = 120
    patches_per_slide: int = 16
    encoder: PatchTrainingConfig = field(
        default_factory=lambda: PatchTrainingConfig(
            epochs=4, batch_size=32, learning_rate=3e-3, feature_penalty=1e-3
        )
    )
    fusion: FusionTrainingConfig = field(
        default_factory=lambda: FusionTrainingConfig(
            epochs=40,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=5.0,
            patches_per_bag=None,
            alone_weight=0.0,
            steadiness=0.1,
            embedding_noise=0.1,
            omics_noise=0.7,
            patience=15,
        )
    )
    token_dim: int = 16
    dropout: float = 0.1
    bootstrap: int = 2000


@dataclass(frozen=True, slots=True)
class DemoBundleOutcome:
    """A written demo bundle and what it is worth.

    Attributes
    ----------
    path : Path
        The bundle's folder.
    temperature : float
        Of the calibration.
    scores : dict of str to SubsetScore
        On held-out synthetic patients, by subset of modalities.
    evidence : EvidenceScore
        Of the evidence map.
    """

    path: Path
    temperature: float
    scores: dict[str, SubsetScore]
    evidence: EvidenceScore


@dataclass(slots=True)
class _Images:
    """What the slides became: bags by row; maps and truth of the held-out ones."""

    bags: dict[int, NDArray[np.float16]] = field(default_factory=dict)
    features: dict[int, NDArray[np.float16]] = field(default_factory=dict)
    shares: dict[int, NDArray[np.float32]] = field(default_factory=dict)


def demo_bundle_job(
    out: Path, config: DemoBundleConfig | None = None
) -> Job[DemoBundleOutcome]:
    """Train the demo model on synthetic patients and write its bundle.

    Parameters
    ----------
    out : Path
        Folder of the bundle; an older bundle there is replaced.
    config : DemoBundleConfig, optional
        Sizes and training; the default makes the bundle that ships.

    Yields
    ------
    Progress
        Stages ``patches``, ``patch training``, ``slides``, ``fusion training``,
        ``evaluation``.

    Returns
    -------
    DemoBundleOutcome
        Where the bundle is and how it scores on held-out synthetic patients.

    Notes
    -----
    Split by patient. The encoder, the scaling of the tables and the fusion model see
    training patients only; validation patients choose the epoch and the temperature;
    held-out patients are scored once.
    """
    config = config or DemoBundleConfig()
    cohort = synthetic_cohort(
        config.patients, seed=config.seed, slide_size=config.slide_size_px
    )
    labels = cohort.patients["label"].to_numpy(np.int64)
    split = split_patients(
        labels,
        validation=config.validation,
        test=config.test,
        seed=config.seed,
    )
    encoder = yield from _train_encoder(cohort, split, config)
    images = yield from _encode_slides(cohort, split, encoder)
    specs = fit_tables(cohort, split.train)
    train, validation, test = (
        make_bag_set(cohort, images.bags, specs, rows)
        for rows in (split.train, split.validation, split.test)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = create_fusion(
            "evidence",
            dim=encoder.dim,
            classes=len(CLASSES),
            omics={m.value: len(spec) for m, spec in specs.items()},
            token_dim=config.token_dim,
            dropout=config.dropout,
        )
    fit = yield from fit_fusion(model, train, validation, config.fusion)
    yield Progress("evaluation", message="scoring held-out synthetic patients")
    temperature = fit_temperature(
        validation.labels, predict_logits(fit.model, validation)
    )
    scores = score_subsets(
        fit.model, test, temperature, repeats=config.bootstrap, seed=config.seed
    )
    evidence = score_evidence(
        fit.model,
        test,
        [images.features[row] for row in split.test],
        [images.shares[row] for row in split.test],
    )
    leaning = feature_weights(fit.model, train)
    mean, std = embedding_statistics(train)
    path = save_bundle(
        out,
        name="demo",
        version=VERSION,
        classes=CLASSES,
        encoder=encoder,
        fusion=fit.model,
        patch=PATCH,
        modalities={
            m: spec if m is Modality.CLINICAL else spec.with_weights(leaning[m])
            for m, spec in specs.items()
        },
        temperature=temperature,
        info=card_facts(
            _count_patients(split, labels),
            _describe_data(config),
            _describe_training(config, fit.best_epoch),
            describe_scores(scores, evidence),
            describe_scoring(evidence),
        ),
        reference={"embedding_mean": mean.numpy(), "embedding_std": std.numpy()},
    )
    return DemoBundleOutcome(path, temperature, scores, evidence)


def _train_encoder(
    cohort: SyntheticCohort, split: Split, config: DemoBundleConfig
) -> Job[Encoder]:
    """Teach a fresh encoder the phenotypes, on training patients' slides."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = create_encoder("demo-cnn", input_size=PATCH.size_px)
    # Several times faster on a CPU than the default order of the axes.
    encoder = encoder.to(memory_format=torch.channels_last)
    addresses = cohort.patients["slide"].iloc[
        list(split.train[: config.encoder_slides])
    ]
    sample = partial(
        render_patches,
        patch=PATCH,
        count=config.patches_per_slide,
        seed=config.seed,
    )
    pixels, shares = [], []
    for done, part in enumerate(map_ahead(sample, addresses), start=1):
        pixels.append(part.pixels)
        shares.append(cell_shares(part, PATCH, encoder.cell_px))
        yield Progress("patches", done, len(addresses), "rendering training patches")
    fit = yield from fit_patch_encoder(
        encoder, np.concatenate(pixels), np.concatenate(shares), config.encoder
    )
    return fit.encoder


def _encode_slides(
    cohort: SyntheticCohort, split: Split, encoder: Encoder
) -> Job[_Images]:
    """Run the encoder over the slides of all patients."""
    images = _Images()
    held_out = set(split.test)
    addresses = cohort.patients["slide"]
    render = partial(render_patches, patch=PATCH)
    for row, slide in enumerate(map_ahead(render, addresses)):
        if row in held_out:
            bag, features = encode_patches(encoder, slide.pixels)
            images.features[row] = features
            images.shares[row] = cell_shares(slide, PATCH, encoder.cell_px)
        else:
            bag = embed_patches(encoder, slide.pixels)
        images.bags[row] = bag
        yield Progress("slides", row + 1, len(addresses), "encoding slides")
    return images


def _count_patients(
    split: Split, labels: NDArray[np.int64]
) -> dict[str, dict[str, int]]:
    """Count the patients of each class in each part of the cohort."""
    parts = {
        "training": split.train,
        "validation": split.validation,
        "held out": split.test,
    }
    return {
        name: {
            subtype.name: int((labels[list(rows)] == label).sum())
            for label, subtype in enumerate(CLASSES)
        }
        for name, rows in parts.items()
    }


def _describe_data(config: DemoBundleConfig) -> str:
    """Say what the patients are."""
    return (
        f"Synthetic cohort of {config.patients} patients, seed {config.seed}: RNA, "
        f"methylation and clinical tables, and a rendered slide of "
        f"{config.slide_size_px} px at {PATCH.mpp:g} um/px each. The label is "
        "whether the sum of an image score and an omics score is positive, so neither "
        "alone tells it."
    )


def _describe_training(config: DemoBundleConfig, best_epoch: int) -> dict[str, Any]:
    """Gather what the card needs to know about the run."""
    return {
        "command": "nox -s demo_bundle",
        "encoder": config.encoder.to_dict(),
        "fusion": config.fusion.to_dict(),
        "fusion epochs until the best validation loss": best_epoch + 1,
        "fitted on training patients only": "encoder, scaling, fusion model",
        "chosen on validation patients": "epoch, temperature",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the bundle from a command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        0 when the bundle is written.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=_OUT,
        help="folder of the bundle, default: %(default)s",
    )
    parser.add_argument("--patients", type=int, default=DemoBundleConfig().patients)
    parser.add_argument("--seed", type=int, default=DemoBundleConfig().seed)
    given = parser.parse_args(arguments)
    # The order of sums follows the number of threads: fix it, or weights differ.
    torch.set_num_threads(_THREADS)
    torch.use_deterministic_algorithms(True)
    config = DemoBundleConfig(patients=given.patients, seed=given.seed)

    outcome = run_job(demo_bundle_job(given.out, config), _tell)
    for key, score in outcome.scores.items():
        sys.stdout.write(
            f"{key}: AUC {score.auc}, balanced accuracy {score.balanced_accuracy}, "
            f"ECE {score.ece:.3f}\n"
        )
    sys.stdout.write(f"temperature {outcome.temperature:.3f}\n{outcome.evidence}\n")
    sys.stdout.write(f"{outcome.path}\n")
    return 0


def _tell(event: Progress) -> None:
    step = f" {event.done}/{event.total}" if event.total else ""
    sys.stdout.write(f"{event.stage}{step} {event.message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
