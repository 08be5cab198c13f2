"""The patient's row of every table given, in the model's own terms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_mmsubtype.core.option_words import for_analysis, leave_out
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError, OmicsError

if TYPE_CHECKING:
    import anndata

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.core.recipe import AnalyzeRecipe
    from napari_mmsubtype.models.bundle import Bundle
    from napari_mmsubtype.omics.preprocessing import AlignedSample


def align_tables_job(
    recipe: AnalyzeRecipe, bundle: Bundle
) -> Job[dict[Modality, AlignedSample]]:
    """Read the patient's row from every table given; closing the job stops reading.

    Parameters
    ----------
    recipe : AnalyzeRecipe
        Names the tables and the patient.
    bundle : Bundle
        Knows the features it was trained on.

    Yields
    ------
    Progress
        Stage ``tables``, ten times a second while a table is read.

    Returns
    -------
    dict of Modality to AlignedSample
        One per table, used or refused with a reason; what the model does not look at
        is not used.

    Raises
    ------
    OmicsError
        If a table cannot be read or does not hold the patient.
    ConfigurationError
        If a table is given for a modality that the model does not have.
    """
    for modality in recipe.tables:
        if modality not in bundle.modalities:
            known = ", ".join(bundle.modalities) or "no tables"
            msg = (
                f"bundle {bundle.name!r} has no {modality} branch (it takes: image, "
                f"{known}); {leave_out(modality)}"
            )
            raise ConfigurationError(msg)
    if not recipe.tables:
        return {}
    # anndata and scipy take most of a second to import, which a slide alone can do
    # without.
    from napari_mmsubtype.omics.preprocessing import align_sample
    from napari_mmsubtype.omics.table_job import read_table_job

    aligned = {}
    for modality, path in recipe.tables.items():
        reading = read_table_job(path, modality=modality, **recipe.reading(modality))
        try:
            table = yield from _uncounted(reading)
            aligned[modality] = align_sample(
                table, recipe.patient or "", bundle.modalities[modality]
            )
        except (OmicsError, ConfigurationError) as err:
            err.args = (for_analysis(str(err), modality), *err.args[1:])
            err.add_note(f"in the {modality} table {str(path)!r}")
            raise
        if modality not in bundle.fusion.uses:
            aligned[modality] = _unseen(aligned[modality], bundle)
    return aligned


def _unseen(aligned: AlignedSample, bundle: Bundle) -> AlignedSample:
    """Keep from a call what the model takes and does not look at."""
    looked = ", ".join(bundle.fusion.uses)
    reason = f"the model looks at {looked} alone"
    report = replace(aligned.report, used=False, reason=aligned.report.reason or reason)
    return replace(aligned, values=None, report=report)


def _uncounted(reading: Job[anndata.AnnData]) -> Job[anndata.AnnData]:
    """Leave out how many bytes were read: they would be taken for patches."""
    try:
        while True:
            yield Progress("tables", message=next(reading).message)
    except StopIteration as end:
        table: anndata.AnnData = end.value
        return table
    finally:
        reading.close()
