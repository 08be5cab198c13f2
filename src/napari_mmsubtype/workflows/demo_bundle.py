"""Make the demo bundle: synthetic cohort, encoder, fusion model and card."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.evaluation.guard import fit_guard
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_writer import save_bundle
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.omics.synthetic import SyntheticCohort, synthetic_cohort
from napari_mmsubtype.training.bag_statistics import embedding_statistics
from napari_mmsubtype.training.fusion_trainer import fit_fusion
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.workflows.demo_card import (
    FITTED,
    card_facts,
    count_patients,
    describe_data,
    describe_scores,
    describe_scoring,
    describe_training,
)
from napari_mmsubtype.workflows.demo_config import (
    CALIBRATION_SEED,
    CLASSES,
    PATCH,
    VERSION,
    DemoBundleConfig,
)
from napari_mmsubtype.workflows.demo_evaluation import (
    EvidenceScore,
    SubsetScore,
    feature_weights,
    score_evidence,
    score_subsets,
)
from napari_mmsubtype.workflows.demo_images import encode_cohort
from napari_mmsubtype.workflows.demo_patients import (
    Split,
    cell_shares,
    fit_tables,
    make_bag_set,
    map_ahead,
    render_patches,
    split_patients,
)
from napari_mmsubtype.workflows.demo_trust import (
    TrustScores,
    changed_patients,
    describe_trust,
    fit_calibration,
    score_trust,
)
from napari_mmsubtype.workflows.jobs import run_job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.omics.modality_spec import ModalitySpec
    from napari_mmsubtype.training.bags import BagSet

_THREADS = 2
_OUT = Path("src/napari_mmsubtype/bundles/demo")  # from the top of a checkout


@dataclass(frozen=True, slots=True)
class DemoBundleOutcome:
    """A written demo bundle and what it is worth.

    Attributes
    ----------
    path : Path
        The bundle's folder.
    calibration : Calibration
        Temperatures and prediction sets.
    scores : dict of str to SubsetScore
        On held-out synthetic patients, by subset of modalities.
    evidence : EvidenceScore
        Of the evidence map.
    trust : TrustScores
        Of calibration and guard.
    """

    path: Path
    calibration: Calibration
    scores: dict[str, SubsetScore]
    evidence: EvidenceScore
    trust: TrustScores


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
    training patients only, and so does the guard, which judges each of them by the
    others; validation patients choose the epoch and the temperatures; prediction sets
    come from patients that served for nothing else; held-out patients are scored once.
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
    kept = None if config.keep is None else load_bundle(config.keep)
    if kept is None:
        encoder = yield from _train_encoder(cohort, split, config)
        specs: Mapping[Modality, ModalitySpec] = fit_tables(cohort, split.train)
    else:
        encoder, specs = kept.encoder, kept.modalities
        encoder = encoder.to(memory_format=torch.channels_last)
    images = yield from encode_cohort(cohort, encoder, PATCH, held_out=split.test)
    train, validation, test = (
        make_bag_set(cohort, images.bags, specs, rows)
        for rows in (split.train, split.validation, split.test)
    )
    if kept is None:
        model = _fresh_model(encoder, specs, config)
        fit = yield from fit_fusion(model, train, validation, config.fusion)
        model, training = fit.model, describe_training(config, fit.best_epoch)
    else:
        model, training = kept.fusion, dict(kept.info["training"])
    fresh = yield from _fresh_patients(encoder, specs, config)
    yield Progress("evaluation", message="calibrating, scoring held-out patients")
    calibration = fit_calibration(model, validation, fresh)
    guard = fit_guard(train.bags, train.omics)
    scores = score_subsets(
        model, test, calibration, repeats=config.bootstrap, seed=config.seed
    )
    evidence = score_evidence(
        model,
        test,
        [images.features[row] for row in split.test],
        [images.shares[row] for row in split.test],
    )
    trust = score_trust(
        model,
        calibration,
        guard,
        test=test,
        fresh=fresh,
        changed=changed_patients(cohort, images, specs, split.test),
        names={m: spec.names for m, spec in specs.items()},
    )
    if kept is None:
        leaning = feature_weights(model, train)
        specs = {
            m: spec if m is Modality.CLINICAL else spec.with_weights(leaning[m])
            for m, spec in specs.items()
        }
    mean, std = embedding_statistics(train)
    path = save_bundle(
        out,
        name="demo",
        version=VERSION,
        classes=CLASSES,
        encoder=encoder,
        fusion=model,
        patch=PATCH,
        modalities=specs,
        calibration=calibration,
        guard=guard,
        info=card_facts(
            count_patients(config, split, labels),
            describe_data(config),
            training | FITTED,
            describe_scores(scores, evidence),
            {
                "how the evidence map was scored": describe_scoring(evidence),
                **describe_trust(trust),
            },
        ),
        reference={"embedding_mean": mean.numpy(), "embedding_std": std.numpy()},
    )
    return DemoBundleOutcome(path, calibration, scores, evidence, trust)


def _fresh_model(
    encoder: Encoder, specs: Mapping[Modality, ModalitySpec], config: DemoBundleConfig
) -> FusionModel:
    """Make a fusion model with its first weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return create_fusion(
            "evidence",
            dim=encoder.dim,
            classes=len(CLASSES),
            omics={m.value: len(spec) for m, spec in specs.items()},
            token_dim=config.token_dim,
            dropout=config.dropout,
        )


def _fresh_patients(
    encoder: Encoder, specs: Mapping[Modality, ModalitySpec], config: DemoBundleConfig
) -> Job[BagSet]:
    """Draw patients that nothing was fitted to, for the prediction sets."""
    cohort = synthetic_cohort(
        config.calibration,
        seed=config.seed + CALIBRATION_SEED,
        slide_size=config.slide_size_px,
    )
    images = yield from encode_cohort(
        cohort, encoder, PATCH, message="encoding slides for the calibration"
    )
    return make_bag_set(cohort, images.bags, specs, range(config.calibration))


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
    parser.add_argument(
        "--keep",
        type=Path,
        help="bundle whose trained networks to keep: only calibrate and score again",
    )
    parser.add_argument("--seed", type=int, default=DemoBundleConfig().seed)
    given = parser.parse_args(arguments)
    # The order of sums follows the number of threads: fix it, or weights differ.
    torch.set_num_threads(_THREADS)
    torch.use_deterministic_algorithms(True)
    config = DemoBundleConfig(patients=given.patients, seed=given.seed, keep=given.keep)

    outcome = run_job(demo_bundle_job(given.out, config), _tell)
    for key, score in outcome.scores.items():
        sys.stdout.write(
            f"{key}: AUC {score.auc}, balanced accuracy {score.balanced_accuracy}, "
            f"ECE {score.ece:.3f}\n"
        )
    sys.stdout.write(f"{outcome.calibration}\n{outcome.evidence}\n{outcome.trust}\n")
    sys.stdout.write(f"{outcome.path}\n")
    return 0


def _tell(event: Progress) -> None:
    step = f" {event.done}/{event.total}" if event.total else ""
    sys.stdout.write(f"{event.stage}{step} {event.message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
