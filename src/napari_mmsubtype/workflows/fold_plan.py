"""How a cohort is divided, as the manifest or the preset says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation.patient_folds import patient_folds
from napari_mmsubtype.evaluation.site_folds import site_folds
from napari_mmsubtype.evaluation.splits import Split, fold_splits, held_out_split
from napari_mmsubtype.workflows.fold_data import place_of
from napari_mmsubtype.workflows.image_cases import persons_on_both_sides

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.training.preset_sections import ValidationSettings
    from napari_mmsubtype.workflows.cohort import Cohort


@dataclass(frozen=True, slots=True, eq=False)
class FoldPlan:
    """Every split of a cross-validation.

    Attributes
    ----------
    scheme : str
        ``patient``, ``site``, ``image``, ``given`` or ``test``.
    splits : tuple of Split
        Of all repeats.
    seeds : tuple of int
        Of each repeat.
    notes : tuple of str
        What a reader must know of the folds.
    """

    scheme: str
    splits: tuple[Split, ...]
    seeds: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def folds(self) -> int:
        """Number of folds of each repeat."""
        return len({split.fold for split in self.splits})


def plan_folds(cohort: Cohort, settings: ValidationSettings) -> FoldPlan:
    """Divide a cohort once for each seed.

    Parameters
    ----------
    cohort : Cohort
        Its manifest may give folds or a fixed test set, which then count.
    settings : ValidationSettings
        Of a preset.

    Returns
    -------
    FoldPlan
        Splits whose parts share no case, nor a site where sites are kept whole.

    Raises
    ------
    ConfigurationError
        If the cohort cannot be divided so.
    """
    patients = cohort.manifest.patients
    scheme: str = settings.group
    if any(patient.split for patient in patients):
        scheme = "test"
    elif any(patient.fold is not None for patient in patients):
        scheme = "given"
    strata = _strata(cohort)
    notes: dict[str, None] = {}
    splits: list[Split] = []
    for repeat, seed in enumerate(settings.seeds):
        options: dict[str, Any] = {
            "validation": settings.inner_share,
            "seed": seed,
            "classes": cohort.classes,
        }
        if scheme == "test":
            held = np.array([patient.split == "test" for patient in patients])
            split = held_out_split(held, strata, cohort.patients, **options)
            splits.append(replace(split, repeat=repeat))
            continue
        sites = None
        if scheme == "given":
            folds = np.array([patient.fold for patient in patients], np.int64)
        elif scheme == "site":
            found = site_folds(
                strata,
                cohort.patients,
                cohort.sites.tolist(),
                settings.folds,
                seed=seed,
                classes=cohort.classes,
            )
            folds, sites = found.folds, cohort.sites.tolist()
            notes |= dict.fromkeys(found.notes)
        else:
            folds = patient_folds(
                strata if settings.stratify else np.zeros(len(cohort), np.int64),
                cohort.patients,
                settings.folds,
                seed=seed,
                classes=cohort.classes,
            )
        splits += fold_splits(
            folds, strata, cohort.patients, sites=sites, repeat=repeat, **options
        )
    if scheme == "image":
        notes[_image_note(cohort, tuple(splits))] = None
    return FoldPlan(scheme, tuple(splits), settings.seeds, tuple(notes))


def _image_note(cohort: Cohort, splits: tuple[Split, ...]) -> str:
    """Say what results of divided patients are for."""
    persons = len(set(cohort.persons))
    return (
        f"Images were divided, not patients: {len(cohort)} images of {persons} "
        f"patients, {persons_on_both_sides(cohort, splits)} of whom are in several "
        "parts of a fold. The results look better than the model is and only "
        "compare with published splits by image; their intervals count images."
    )


def _strata(cohort: Cohort) -> NDArray[np.int64]:
    """Give patients without a class that of most others, for the deal alone."""
    labels = cohort.labels.copy()
    known = labels[labels >= 0]
    labels[labels < 0] = np.bincount(known).argmax()
    return labels


def describe_split(split: Split, cohort: Cohort, seed: int) -> dict[str, Any]:
    """Describe a split for ``results.json``.

    Parameters
    ----------
    split : Split
        Of the cohort.
    cohort : Cohort
        The patients.
    seed : int
        Of the repeat.

    Returns
    -------
    dict
        Numbers of patients, test patients by class, sites in the test part.
    """
    labels = cohort.labels[split.test]
    return {
        **place_of(split),
        "seed": seed,
        "train": len(split.train),
        "inner": len(split.validation),
        "test": len(split.test),
        "classes": {
            name: int((labels == c).sum()) for c, name in enumerate(cohort.classes)
        },
        "sites": sorted({site for site in cohort.sites[split.test].tolist() if site}),
    }
