"""Images as cases of their own, as published splits by image have them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_mmsubtype.core.option_words import pass_setting
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.slide_name import slide_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.evaluation.splits import Split
    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.manifest import Manifest, Patient


def divide_images(manifest: Manifest, tables: Collection[Modality]) -> Manifest:
    """Make a case of each image, whoever it is of.

    Parameters
    ----------
    manifest : Manifest
        Whose patients may have several slides.
    tables : collection of Modality
        Tables that were given.

    Returns
    -------
    Manifest
        One entry per slide, named by patient and slide, that tells its patient. The
        same where the manifest gives folds or a test set, which count more.

    Raises
    ------
    ConfigurationError
        If there are tables, or patients without a slide.
    """
    patients = manifest.patients
    if any(p.split or p.fold is not None for p in patients):
        return manifest
    if tables:
        msg = (
            "validation.group=image makes a case of each image, but tables hold "
            f"patients ({', '.join(sorted(tables))} given); leave the tables out, or "
            f"{pass_setting('validation.group=patient')}"
        )
        raise ConfigurationError(msg)
    bare = [p.id for p in patients if not p.slides]
    if bare:
        msg = (
            f"validation.group=image makes a case of each image, and {len(bare)} "
            f"patients have none, for example {bare[0]!r}; leave them out"
        )
        raise ConfigurationError(msg)
    return replace(
        manifest, patients=tuple(case for p in patients for case in _images_of(p))
    )


def _images_of(patient: Patient) -> list[Patient]:
    """Give a case for each slide of a patient."""
    names = [slide_name(slide.path) for slide in patient.slides]
    often = Counter(names)
    cases = []
    for number, (name, slide) in enumerate(
        zip(names, patient.slides, strict=True), start=1
    ):
        own = name if often[name] == 1 else f"{name} ({number})"
        cases.append(
            replace(
                patient,
                id=f"{patient.id}/{own}",
                slides=(slide,),
                line=slide.line,
                person=patient.id,
            )
        )
    return cases


def persons_on_both_sides(cohort: Cohort, splits: tuple[Split, ...]) -> int:
    """Count patients that are in two parts of a split.

    Parameters
    ----------
    cohort : Cohort
        Whose cases may be images.
    splits : tuple of Split
        All of a cross-validation.

    Returns
    -------
    int
        Patients, each of whom is counted once.
    """
    found: set[str] = set()
    for split in splits:
        parts = [
            {cohort.persons[row] for row in rows} for rows in split.parts().values()
        ]
        often = Counter(name for part in parts for name in part)
        found |= {name for name, count in often.items() if count > 1}
    return len(found)
