"""The folds of a cross-validation as one bundle: nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.record_reader import read_record
from napari_mmsubtype.core.trust import FOLDS
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.conformal import fit_conformal
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.fold_ensemble import Member, join_members
from napari_mmsubtype.omics.spec_union import unite_specs, view_of
from napari_mmsubtype.training.preset_sections import ValidationSettings
from napari_mmsubtype.workflows.card_metrics import card_metrics, read_results
from napari_mmsubtype.workflows.cohort import make_cases
from napari_mmsubtype.workflows.cohort_setup import (
    EMBEDDINGS,
    load_presets,
    open_cohort_job,
)
from napari_mmsubtype.workflows.crossval_folds import bundle_folder
from napari_mmsubtype.workflows.crossval_results import RESULTS
from napari_mmsubtype.workflows.fold_bundle import has_bundle, plain_name, save_model
from napari_mmsubtype.workflows.fold_calibration import LEAST_PATIENTS
from napari_mmsubtype.workflows.fold_data import place_of
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.fold_request import fold_request, variant_request
from napari_mmsubtype.workflows.fold_store import FoldStore
from napari_mmsubtype.workflows.model_list import fusion_variants
from napari_mmsubtype.workflows.model_scores import chances, class_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from napari_mmsubtype.evaluation.conformal import ConformalRule
    from napari_mmsubtype.models.bundle import Bundle
    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.cohort_request import CohortRequest
    from napari_mmsubtype.workflows.cohort_setup import PresetInput


@dataclass(frozen=True, slots=True)
class JoinedFolds:
    """Models of folds that were joined.

    Attributes
    ----------
    bundle : Path
        Folder of the bundle.
    members : int
        How many there are.
    patients : dict of str to int
        That they were trained and stopped on, by part; each member on some of them.
    """

    bundle: Path
    members: int
    patients: dict[str, int]


def join_folds_job(request: CohortRequest, bundle: Path) -> Job[JoinedFolds]:
    """Join the folds of a cross-validation of the same preset on the same cohort.

    Parameters
    ----------
    request : CohortRequest
        With one preset, and the folder in ``ensemble_of``.
    bundle : Path
        Folder of the bundle; it appears whole or not at all.

    Yields
    ------
    Progress
        Stages ``open``, ``tables``, ``slides``, ``patches`` and ``folds``.

    Returns
    -------
    JoinedFolds
        Its answers are the mean of the calibrated logits of the folds; prediction sets
        come from the answers of each fold about patients that it was not trained on.

    Raises
    ------
    ConfigurationError
        If the cross-validation is not complete, or was one of another preset, cohort or
        other settings, or its folds have encoders of their own.
    """
    folder = request.ensemble_of
    if folder is None:
        msg = "no cross-validation was given; pass its folder as ensemble_of"
        raise ConfigurationError(msg)
    if not (folder / RESULTS).is_file():
        msg = (
            f"there are no folds to join in {str(folder)!r}: it has no {RESULTS}; give "
            "the results folder of a cross-validation"
        )
        raise ConfigurationError(msg)
    content = read_results(folder / RESULTS)
    if not content.get("complete"):
        msg = (
            f"the cross-validation in {str(folder)!r} is not complete; run 'crossval' "
            "with the same request again to go on"
        )
        raise ConfigurationError(msg)
    (preset,) = load_presets(request)
    metrics = card_metrics(content, preset.name)
    _refuse_own_encoders(content["models"][preset.name]["folds"])
    where = request.embeddings or folder / EMBEDDINGS
    opened = yield from open_cohort_job(replace(request, embeddings=where))
    cohort, (entry,) = opened.cohort, opened.inputs
    places, skipped = _done_folds(request, folder, cohort, entry, content)
    loaded: list[Bundle] = []
    for done, place in enumerate(places):
        yield Progress("folds", done, len(places), "joining folds")
        loaded.append(load_bundle(bundle_folder(folder, entry.preset, place)))
    specs = {
        m: unite_specs([own.modalities[m] for own in loaded])
        for m in entry.preset.modalities
    }
    members = [
        Member(
            own.fusion,
            own.heads,
            own.calibration,
            {m: view_of(spec, own.modalities[m]) for m, spec in specs.items()},
        )
        for own in loaded
    ]
    model, heads = join_members(members, {m: len(spec) for m, spec in specs.items()})
    rules = _cross_conformal(FoldStore(folder), entry.preset.name, places, cohort)
    tables = {m: cohort.tables[m].transform(spec) for m, spec in specs.items()}
    cases = make_cases(cohort, entry.bags, tables)
    held = {p.id for p in cohort.manifest.patients if p.split == "test"}
    learned = cases.take(
        np.array([r for r, p in enumerate(cases.patients) if p not in held], np.int64)
    )
    yield Progress("folds", len(places), len(places), "writing the bundle")
    note = f", {skipped} folds could not be trained" if skipped else ""
    path = save_model(
        bundle,
        entry,
        cohort,
        learned,
        name=f"{plain_name(entry.preset)}-ensemble",
        model=model,
        heads=heads,
        calibration=Calibration(conformal=rules, conformal_source=FOLDS),
        specs=specs,
        patients={"train": learned},
        training={
            "preset": entry.preset.name,
            "members": f"{len(members)} models of a cross-validation{note}",
            "seeds": sorted({int(seed) for seed in content["validation"]["seeds"]}),
            "settings": _settings(entry),
        },
        metrics=metrics,
        notes={
            "how they were computed": (
                "out of fold, by each of the joined models alone, on patients that it "
                "was not trained on; the joined model was not measured itself"
            )
        },
        with_guard=True,
    )
    return JoinedFolds(path, len(members), {"train": len(learned)})


def _settings(entry: PresetInput) -> dict[str, Any]:
    settings = entry.preset.fusion_training.to_dict()
    del settings["seed"]
    return settings


def _done_folds(
    request: CohortRequest,
    folder: Path,
    cohort: Cohort,
    entry: PresetInput,
    content: Mapping[str, Any],
) -> tuple[list[dict[str, Any]], int]:
    """Find the folds of the same request, all of them, and count those skipped."""
    store = FoldStore(folder)
    variant = fusion_variants(entry.preset)[0]
    planned = next(iter(content["request"]["presets"].values()))["validation"]
    # Folds and seeds of a cross-validation are those of its first preset.
    settings = read_record(ValidationSettings, planned, f"{RESULTS} of {folder}")
    plan = plan_folds(cohort, settings)
    found, skipped = [], 0
    for split in plan.splits:
        seed = plan.seeds[split.repeat]
        asked = fold_request(
            request, cohort, split, entry.preset.with_seed(seed),
            seed=seed, embeddings=entry.digest,
        )  # fmt: skip
        place = place_of(split)
        own = variant_request(asked, variant)
        facts = store.find(variant.name, **place, request=own)
        if facts is not None and facts.get("skipped"):
            skipped += 1
        elif facts is None or not has_bundle(
            bundle_folder(folder, entry.preset, place)
        ):
            msg = (
                f"{str(folder)!r} has no {split.name} of preset {entry.preset.name!r} "
                "for this manifest, these tables and settings; run 'crossval' with the "
                f"same and {str(folder)!r} as its folder first"
            )
            raise ConfigurationError(msg)
        else:
            found.append(place)
    if not found:
        msg = f"no fold of preset {entry.preset.name!r} could be trained in {folder}"
        raise ConfigurationError(msg)
    return found, skipped


def _refuse_own_encoders(folds: Sequence[Mapping[str, Any]]) -> None:
    """Refuse folds that do not look at slides with the same encoder."""
    own = [fold["fold"] + 1 for fold in folds if fold.get("encoder")]
    if own:
        msg = (
            f"fold {own[0]} has an encoder of its own, and a bundle has one: folds "
            "whose encoders were trained cannot be joined; train one model on all "
            "patients instead (without ensemble_of)"
        )
        raise ConfigurationError(msg)


def _cross_conformal(
    store: FoldStore, name: str, places: Sequence[Mapping[str, int]], cohort: Cohort
) -> dict[str, ConformalRule]:
    """Fit prediction sets to what each fold said of patients it did not know.

    References
    ----------
    .. [1] Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
       Intelligence 2015.
    """
    # One repeat: a patient who counts several times would make few look like many.
    once = [place for place in places if place["repeat"] == places[0]["repeat"]]
    whole = pd.concat([store.predictions(name, **place) for place in once])
    rows = class_rows(whole, main=False)
    rules = {}
    for subset, own in rows.groupby("subset", sort=False):
        own = own[own["main"] | (own["present"] == own["subset"])]
        if len(own) >= LEAST_PATIENTS:
            rules[str(subset)] = fit_conformal(
                own["y"].to_numpy(), chances(own, len(cohort.classes))
            )
    return rules
