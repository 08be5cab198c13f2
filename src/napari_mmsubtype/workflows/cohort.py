"""Patients with everything known of them, ready to be divided into folds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality, ordered, subset_key
from napari_mmsubtype.training.bags import Bag, BagSet
from napari_mmsubtype.workflows.manifest_faults import Faults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.training.preset import Preset
    from napari_mmsubtype.workflows.cohort_tables import CohortTable
    from napari_mmsubtype.workflows.embed import EmbeddedSlides
    from napari_mmsubtype.workflows.manifest import Manifest


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """The patients of a manifest with their tables.

    Attributes
    ----------
    manifest : Manifest
        Where they come from.
    classes : tuple of str
        Names, in the order of the labels.
    patients : tuple of str
        Identifiers of the cases; of images where these are divided.
    labels : ndarray of int64, shape (n,)
        Class of each patient; -1 where not known.
    sites : ndarray of str, shape (n,)
        Empty where not known.
    tables : mapping of Modality to CohortTable
        Those that were given.
    targets : mapping of str to ndarray of float64, shape (n,) or (n, 2)
        Answers to the other heads; NaN where not known.
    """

    manifest: Manifest
    classes: tuple[str, ...]
    patients: tuple[str, ...]
    labels: NDArray[np.int64]
    sites: NDArray[np.str_]
    tables: Mapping[Modality, CohortTable]
    targets: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def persons(self) -> tuple[str, ...]:
        """Of whom each case is: `patients`, but where cases are images."""
        return tuple(p.person or p.id for p in self.manifest.patients)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Image and the tables that were given."""
        return ordered((Modality.IMAGE, *self.tables))

    def has(self, images: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Say what each patient has.

        Parameters
        ----------
        images : ndarray of bool, shape (n,), optional
            Patients whose slides could be embedded; those with a slide if left out.

        Returns
        -------
        ndarray of bool, shape (n, m)
            In the order of `modalities`.
        """
        if images is None:
            images = np.array([bool(p.slides) for p in self.manifest.patients])
        columns = {Modality.IMAGE: images}
        columns |= {m: table.has for m, table in self.tables.items()}
        return np.stack([columns[m] for m in self.modalities], axis=1)

    def bags(self, embedded: EmbeddedSlides | None, dim: int) -> list[Bag]:
        """Give the embeddings of every patient.

        Parameters
        ----------
        embedded : EmbeddedSlides or None
            Of the slides; None where there are none.
        dim : int
            Length of an embedding.

        Returns
        -------
        list of ndarray or StoredBag, each of shape (patches, dim)
            Without rows for patients without a slide that could be embedded.
        """
        none = np.empty((0, dim), np.float16)
        found: list[Bag] = []
        for patient in self.manifest.patients:
            paths = [slide.path for slide in patient.slides]
            bag = None if embedded is None else embedded.load(paths)
            found.append(none if bag is None else bag)
        return found

    def pattern(self, row: Sequence[bool] | NDArray[np.bool_]) -> str:
        """Name what a patient has.

        Parameters
        ----------
        row : sequence of bool, length m
            Of `has`.

        Returns
        -------
        str
            Such as ``image+rna``; empty for nothing.
        """
        return subset_key(m for m, h in zip(self.modalities, row, strict=True) if h)


def make_cohort(
    manifest: Manifest,
    classes: Sequence[str],
    tables: Mapping[Modality, CohortTable],
    heads: Heads,
) -> Cohort:
    """Put manifest and tables together.

    Parameters
    ----------
    manifest : Manifest
        Checked for these classes and heads.
    classes : sequence of str
        Names, in the order of the labels.
    tables : mapping of Modality to CohortTable
        Of the manifest's patients.
    heads : Heads
        Whose targets the manifest holds.

    Returns
    -------
    Cohort
        Of all patients.

    Raises
    ------
    ConfigurationError
        If patients have neither a slide nor a row in any table.
    """
    number = {name: position for position, name in enumerate(classes)}
    patients = manifest.patients
    faults = Faults(manifest.path)
    for position, patient in enumerate(patients):
        if not patient.slides and not any(t.has[position] for t in tables.values()):
            faults.add("the patient has no slide and is in no table", patient.line)
    faults.raise_any()
    targets = {}
    for name, head in heads.others.items():
        blank = (math.nan,) * (1 if head.target_shape == () else 2)
        rows = np.array([p.targets.get(name, blank) for p in patients], np.float64)
        targets[name] = rows[:, 0] if head.target_shape == () else rows
    return Cohort(
        manifest=manifest,
        classes=tuple(classes),
        patients=tuple(p.id for p in patients),
        labels=np.array([number.get(p.label, -1) for p in patients], np.int64),
        sites=np.array([p.site for p in patients], dtype=str),
        tables=dict(tables),
        targets=targets,
    )


def make_cases(
    cohort: Cohort,
    bags: Sequence[Bag],
    tables: Mapping[Modality, tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> BagSet:
    """Put all patients together as a fusion model takes them.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    bags : sequence of ndarray, each of shape (patches, d)
        As `Cohort.bags`.
    tables : mapping of Modality to tuple of ndarray
        Features and whether they can be used, as `CohortTable.transform`.

    Returns
    -------
    BagSet
        Of the patients that have anything of it, one case each; its ``patients`` tell
        which.
    """
    columns = [np.array([len(bag) > 0 for bag in bags])]
    columns += [tables[m][1] for m in ordered(tables)]
    present = np.stack(columns, axis=1)
    rows = np.flatnonzero(present.any(axis=1))
    return BagSet(
        patients=tuple(cohort.patients[row] for row in rows),
        labels=cohort.labels[rows],
        bags=[bags[int(row)] for row in rows],
        omics={m: tables[m][0][rows] for m in ordered(tables)},
        present=present[rows],
        modalities=ordered((Modality.IMAGE, *tables)),
        targets={name: values[rows] for name, values in cohort.targets.items()},
    )


def fit_preset(preset: Preset, given: Sequence[Modality]) -> Preset:
    """Leave out of a preset the tables that a cohort does not have.

    Parameters
    ----------
    preset : Preset
        As loaded.
    given : sequence of Modality
        Tables of the cohort.

    Returns
    -------
    Preset
        The same where nothing is lacking.
    """
    kept = {m: s for m, s in preset.modalities.items() if m in given}
    if kept == dict(preset.modalities):
        return preset
    gone = [m for m in preset.modalities if m not in kept]
    unasked = {f"{m}_only" for m in gone}
    training = preset.fusion_training
    baselines = preset.baselines
    return replace(
        preset,
        modalities=kept,
        fusion_training=replace(
            training, drop={m: p for m, p in training.drop.items() if m not in gone}
        ),
        baselines=replace(
            baselines,
            fusions=tuple(f for f in baselines.fusions if f not in unasked),
        ),
    )
