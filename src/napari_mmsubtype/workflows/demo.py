"""The main job on one synthetic patient, with the bundle that ships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort
from napari_mmsubtype.results.picture import write_picture
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.workflows.analyze import analyze_job

if TYPE_CHECKING:
    from pathlib import Path

    from napari_mmsubtype.results.store import Result

SEED = 20_260
"""Seed of the demo's patients: none of them was in the bundle's training cohort."""
PATIENTS = 60
SLIDE_SIZE_PX = 4096


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What the demo leaves.

    Attributes
    ----------
    result : Result
        The store.
    picture : Path
        Slide, overlays and call in one picture.
    truth : str
        The synthetic patient's true class.
    """

    result: Result
    picture: Path
    truth: str


def demo_job(out: Path, *, device: str = "auto") -> Job[DemoOutcome]:
    """Make a synthetic patient and analyse it.

    Parameters
    ----------
    out : Path
        Folder that receives the tables, the store and the picture.
    device : str, default: "auto"
        Where the networks run.

    Yields
    ------
    Progress
        As `analyze_job`, with the making of the patient before it.

    Returns
    -------
    DemoOutcome
        Store, picture and the true class.
    """
    yield Progress("patient", message="making a synthetic patient")
    cohort = synthetic_cohort(PATIENTS, seed=SEED, slide_size=SLIDE_SIZE_PX)
    tables = write_cohort(cohort, out / "synthetic_tables")
    # Tissue that looks mostly luminal-like, genes that are clearly not: image alone and
    # genes alone answer differently, which is what a fused call is for.
    patients = cohort.patients
    mostly_luminal = patients[patients["basal"].between(0.25, 0.45)]
    chosen = mostly_luminal.sort_values("omics_score").iloc[-1]
    recipe = AnalyzeRecipe(
        slide=str(chosen["slide"]),
        bundle="demo",
        patient=str(chosen["patient_id"]),
        rna=str(tables["rna"]),
        methylation=str(tables["methylation"]),
        clinical=str(tables["clinical"]),
        device=device,
        out=str(out),
    )
    result = yield from analyze_job(recipe)
    yield Progress("picture", message="drawing the picture")
    with open_slide(recipe.slide) as slide:
        picture = write_picture(result, slide, result.path.with_suffix(".png"))
    truth = result.classes[int(chosen["label"])].name
    return DemoOutcome(result=result, picture=picture, truth=truth)
