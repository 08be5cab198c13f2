"""A table of the panel Omics: how it is asked for, and what was recognised in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import Door, for_door
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError, MMSubtypeError

if TYPE_CHECKING:
    import anndata

MODALITY_NAMES = {
    Modality.RNA: "RNA",
    Modality.METHYLATION: "Methylation",
    Modality.CLINICAL: "Clinical",
}
"""Modalities as the panels write them."""


@dataclass(frozen=True, slots=True)
class TableRequest:
    """One table, and what the user overrules of it.

    Attributes
    ----------
    path : str
        A file, or a folder of GDC files.
    modality : Modality or None
        None recognises it.
    unit : str or None
        None recognises it.
    samples_in : str or None
        ``rows`` or ``columns``; None recognises it.
    """

    path: str
    modality: Modality | None = None
    unit: str | None = None
    samples_in: str | None = None

    @property
    def name(self) -> str:
        """Name of the file or folder."""
        return Path(self.path).name

    @property
    def reading(self) -> dict[str, str]:
        """What a recipe has to say of the table beside its path."""
        said = {"unit": self.unit, "samples_in": self.samples_in}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True, eq=False)
class OmicsTable:
    """A table that was read.

    Attributes
    ----------
    request : TableRequest
        What was asked for.
    table : AnnData
        As `read_omics`.
    modality : Modality
        Recognised or said.
    unit : str
        Recognised or said.
    samples_in : str
        ``rows`` or ``columns``; empty where the format says it.
    evidence : dict of str to str
        What spoke for ``modality``, ``unit`` and ``samples_in``; empty where nothing
        had to be recognised.
    samples : tuple of str
        As the table writes them.
    patients : tuple of str
        The patients that a user may choose: TCGA barcodes cut to the patient.
    size : str
        Samples × features, in words.
    names : str
        Kinds of identifiers and of samples, in words.
    steps : tuple of str
        What was recognised and done.
    """

    request: TableRequest
    table: anndata.AnnData
    modality: Modality
    unit: str
    samples_in: str
    evidence: dict[str, str]
    samples: tuple[str, ...]
    patients: tuple[str, ...]
    size: str
    names: str
    steps: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class UnreadTable:
    """A table that cannot be read.

    Attributes
    ----------
    request : TableRequest
        What was asked for.
    sentence : str
        Why, and what to do.
    """

    request: TableRequest
    sentence: str


def read_table_job(request: TableRequest) -> Job[OmicsTable | UnreadTable]:
    """Read a table as `read_omics` does, in a worker that can be stopped at any time.

    Parameters
    ----------
    request : TableRequest
        What to read.

    Yields
    ------
    Progress
        Ten times a second; a cancelled job ends there.

    Returns
    -------
    OmicsTable or UnreadTable
        The table, or the sentence that says why not.
    """
    yield Progress("read", message=f"reading {request.name}")
    # pandas and anndata take a second to import: not in the GUI thread.
    from napari_mmsubtype.omics import table_job

    try:
        table = yield from table_job.read_table_job(
            request.path, modality=request.modality, **request.reading
        )
    except MMSubtypeError as err:
        return UnreadTable(request, for_door(str(err), Door.OMICS_PANEL))
    yield Progress("describe", message=f"describing {request.name}")
    return describe_table(request, table)


def describe_table(request: TableRequest, table: anndata.AnnData) -> OmicsTable:
    """Gather what the panel shows of a table.

    Parameters
    ----------
    request : TableRequest
        What was asked for.
    table : AnnData
        As `read_omics`.

    Returns
    -------
    OmicsTable
        Nothing of it has to be computed in the GUI thread.
    """
    from napari_mmsubtype.omics.sample_choice import case_names
    from napari_mmsubtype.omics.table_facts import evidence_for, table_facts

    facts = table_facts(table)
    steps = tuple(str(step) for step in facts["steps"])
    text = "\n".join(steps)
    axis = next((a for a in ("rows", "columns") if f"samples in {a} (" in text), "")
    evidence = {
        "modality": evidence_for(steps, facts["modality"]),
        "unit": evidence_for(steps, f"unit {facts['unit']}"),
        "samples_in": evidence_for(steps, f"samples in {axis}") if axis else "",
    }
    samples = tuple(str(name) for name in table.obs["sample"])
    return OmicsTable(
        request=request,
        table=table,
        modality=Modality(facts["modality"]),
        unit=facts["unit"],
        samples_in=axis,
        evidence=evidence,
        samples=samples,
        patients=patients_of(tuple(case_names(table))),
        size=_size(facts),
        names=_names(table, facts),
        steps=steps,
    )


def patients_of(samples: tuple[str, ...]) -> tuple[str, ...]:
    """List the patients behind samples.

    Parameters
    ----------
    samples : tuple of str
        As a table writes them.

    Returns
    -------
    tuple of str
        Sorted, each once; TCGA barcodes cut to the patient, others as they are.
    """
    from napari_mmsubtype.omics.identifiers import parse_barcode

    found = set()
    for sample in samples:
        barcode = parse_barcode(sample)
        found.add(sample if barcode is None else barcode.patient)
    return tuple(sorted(found))


def unit_names(modality: Modality | None) -> tuple[str, ...]:
    """List the units that a table may be said to have.

    Parameters
    ----------
    modality : Modality or None
        None lists those of every modality.

    Returns
    -------
    tuple of str
        Empty for clinical tables.
    """
    from napari_mmsubtype.omics.units import UNITS

    if modality is None:
        return tuple(UNITS)
    if modality is Modality.CLINICAL:
        return ()
    return tuple(name for name in UNITS if _is_unit_of(name, modality))


def _is_unit_of(name: str, modality: Modality) -> bool:
    """Ask the one place that knows."""
    from napari_mmsubtype.omics.units import parse_unit

    try:
        parse_unit(name, modality)
    except ConfigurationError:
        return False
    return True


def _size(facts: dict[str, Any]) -> str:
    clinical = facts["modality"] == Modality.CLINICAL
    many = facts["features"]["count"]
    rows = f"{facts['samples']['count']:,} {'patients' if clinical else 'samples'}"
    return f"{rows} × {many:,} {'columns' if clinical else 'features'}"


def _names(table: anndata.AnnData, facts: dict[str, Any]) -> str:
    from napari_mmsubtype.omics.table_facts import identifier_words

    words = identifier_words(table.var, [str(name) for name in table.var_names])
    types = [f"{n:,} {kind}" for kind, n in facts["sample_types"].items()]
    return "; ".join([words, ", ".join(types)]).strip("; ")
