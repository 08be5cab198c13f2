"""What the tables of the panel Omics hold of one patient, and what a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import Door, for_door
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.records import ModalityReport
from napari_mmsubtype.errors import BundleError, MMSubtypeError, OmicsError
from napari_mmsubtype.widgets.omics_table import OmicsTable

if TYPE_CHECKING:
    from napari_mmsubtype.omics.identifiers import SampleMatch
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

_ROWS = 8
_COLUMNS = 8
_HEAVIEST = 10
_NO_VALUE = "–"


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The corner of a table, as text.

    Attributes
    ----------
    columns : tuple of str
        Names of its first features.
    rows : tuple of (str, tuple of str)
        Name and cells of each sample, the patient's first.
    has_patient : bool
        Whether the first row is the patient's.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, tuple[str, ...]], ...] = ()
    has_patient: bool = False


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a model a patient's row covers.

    Attributes
    ----------
    report : ModalityReport or None
        As the analysis will record it; None where the table cannot serve the model.
    least : float
        Share of the model's weight that the model needs, 0 to 1.
    heaviest : tuple of (str, float)
        Missing features and their shares of the model's weight, the heaviest first.
    problem : str
        Why the table cannot serve the model, or empty.
    """

    report: ModalityReport | None = None
    least: float = 0.0
    heaviest: tuple[tuple[str, float], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a table holds of the patient.

    Attributes
    ----------
    sample : str
        The sample that would be taken and its type; empty where there is none.
    problem : str
        Why there is none; empty while no patient is chosen.
    notes : tuple of str
        What the user should know of the choice and of the values.
    rows : FirstRows
        The corner of the table.
    coverage : Coverage or None
        None without a patient in the table.
    """

    sample: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    rows: FirstRows = field(default_factory=FirstRows)
    coverage: Coverage | None = None

    @property
    def obstacle(self) -> str:
        """Why an analysis with this table would stop, or empty."""
        return self.problem or (self.coverage.problem if self.coverage else "")


class ModelFeatures:
    """The features of the model that was asked for last, and tables matched to them.

    Used by one worker at a time.
    """

    def __init__(self) -> None:
        self._source: str | None = None
        self._specs: Mapping[Modality, ModalitySpec] = {}
        self._aligners: dict[int, tuple[OmicsTable, Any]] = {}
        self._name = ""

    def load(self, source: str) -> None:
        """Load a bundle, unless it is the one at hand.

        Parameters
        ----------
        source : str
            ``"demo"``, or the path of a folder or zip.

        Raises
        ------
        BundleError
            If it cannot be loaded.
        """
        if source == self._source:
            return
        # pandas and Parquet take a while to import: not in the GUI thread.
        from napari_mmsubtype.models.bundle_manifest import load_features

        self._name, self._specs = load_features(source)
        self._aligners.clear()
        self._source = source

    def cover(self, key: int, table: OmicsTable, match: SampleMatch) -> Coverage:
        """Align a patient's row to the model.

        Parameters
        ----------
        key : int
            Of the table; what is matched once is kept under it.
        table : OmicsTable
            The table.
        match : SampleMatch
            The patient's row.

        Returns
        -------
        Coverage
            What the analysis would record.
        """
        from napari_mmsubtype.omics.alignment import aligner

        spec = self._specs.get(table.modality)
        if spec is None:
            known = ", ".join(map(str, self._specs)) or "no tables"
            problem = (
                f"model {self._name!r} has no {table.modality} branch (it takes: "
                f"{known}); leave this table out or choose another model"
            )
            return Coverage(problem=problem)
        try:
            kept = self._aligners.get(key)
            if kept is None or kept[0] is not table:
                kept = (table, aligner(table.table, spec))
                self._aligners[key] = kept
            report = kept[1].align(match).report
        except OmicsError as err:
            return Coverage(least=spec.min_coverage, problem=_sentence(err))
        return Coverage(report, spec.min_coverage, _heaviest(spec, report.missing))

    def forget(self, keys: set[int]) -> None:
        """Let go of tables that are no longer there.

        Parameters
        ----------
        keys : set of int
            The tables that still are.
        """
        for key in set(self._aligners) - keys:
            del self._aligners[key]


def lookup_job(
    tables: Mapping[int, OmicsTable],
    patient: str,
    bundle: str,
    features: ModelFeatures,
) -> Job[dict[int, Lookup]]:
    """Look a patient up in every table, and align the rows to a model.

    Parameters
    ----------
    tables : mapping of int to OmicsTable
        By key.
    patient : str
        Identifier; empty gives the tables' first rows only.
    bundle : str
        ``"demo"``, or the path of a folder or zip.
    features : ModelFeatures
        Keeps the model between jobs.

    Yields
    ------
    Progress
        After every table.

    Returns
    -------
    dict of int to Lookup
        By the keys of `tables`.
    """
    from napari_mmsubtype.omics.sample_choice import find_row
    from napari_mmsubtype.omics.table_facts import sample_words

    found: dict[int, Lookup] = {}
    trouble = ""
    features.forget(set(tables))
    for done, (key, table) in enumerate(tables.items()):
        name = table.request.name
        yield Progress("look up", done, len(tables), f"looking into {name}")
        if not patient:
            found[key] = Lookup(rows=first_rows(table))
            continue
        try:
            match = find_row(table.table, patient)
        except MMSubtypeError as err:
            found[key] = Lookup(problem=_sentence(err), rows=first_rows(table))
            continue
        if not trouble:
            try:
                features.load(bundle)
            except BundleError as err:
                trouble = _sentence(err)
        yield Progress("align", done, len(tables), f"aligning {name}")
        coverage = (
            Coverage(problem=trouble) if trouble else features.cover(key, table, match)
        )
        found[key] = Lookup(
            sample=sample_words(match.sample),
            notes=_notes(table, match, coverage),
            rows=first_rows(table, match.index),
            coverage=coverage,
        )
    return found


def first_rows(table: OmicsTable, chosen: int | None = None) -> FirstRows:
    """Cut the corner out of a table.

    Parameters
    ----------
    table : OmicsTable
        Of any size; only the corner is turned into text.
    chosen : int or None, default: None
        Row that comes first.

    Returns
    -------
    FirstRows
        At most 8 samples of 8 features.
    """
    data = table.table
    order = [] if chosen is None else [chosen]
    order += [i for i in range(min(_ROWS, len(table.samples))) if i != chosen]
    order = order[:_ROWS]
    if table.modality is Modality.CLINICAL:
        names = [str(c) for c in data.obs.columns if c != "sample"][:_COLUMNS]
        cells = [[_text(data.obs[name].iloc[i]) for name in names] for i in order]
    else:
        names = [str(name) for name in data.var_names[:_COLUMNS]]
        corner: Any = data.X
        cells = [[_text(value) for value in corner[i, :_COLUMNS]] for i in order]
    rows = tuple(
        (table.samples[i], tuple(row)) for i, row in zip(order, cells, strict=True)
    )
    return FirstRows(tuple(names), rows, chosen is not None)


def _sentence(error: MMSubtypeError) -> str:
    """Say an error in the panel's words."""
    return for_door(str(error), Door.OMICS_PANEL)


def _text(value: Any) -> str:
    """Write one cell; NaN and None differ from themselves or are empty."""
    if value is None or value != value:
        return _NO_VALUE
    return value if isinstance(value, str) else f"{float(value):.4g}"


def _notes(
    table: OmicsTable, match: SampleMatch, coverage: Coverage
) -> tuple[str, ...]:
    """List what is new beside the steps and the bar's own words."""
    if coverage.report is None:
        return match.notes
    return tuple(
        note
        for note in coverage.report.notes
        if note not in table.steps and "features have a value" not in note
    )


def _heaviest(
    spec: ModalitySpec, missing: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    """Rank missing features by what the model makes of them."""
    if spec.modality is Modality.CLINICAL:
        return tuple((name, 0.0) for name in missing[:_HEAVIEST])
    weights = spec.features["weight"].to_numpy(float)
    total = float(weights.sum()) or 1.0
    shares = dict(zip(spec.names, (weights / total).tolist(), strict=True))
    ranked = sorted(missing, key=lambda name: -shares[name])
    return tuple((name, shares[name]) for name in ranked[:_HEAVIEST])
