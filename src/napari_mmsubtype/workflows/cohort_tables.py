"""Tables of a whole cohort: found patient by patient, fitted on training rows."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.option_words import for_analysis
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import (
    ConfigurationError,
    OmicsError,
    UnmatchedSampleError,
)
from napari_mmsubtype.omics.sample_choice import find_row
from napari_mmsubtype.omics.table_job import read_table_job
from napari_mmsubtype.omics.table_transform import transform_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.modality_spec import ModalitySpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class CohortTable:
    """One table, with a row for each patient that it holds.

    Attributes
    ----------
    path : str
        Where it was read from.
    digest : str
        SHA-256 of the file; of names and sizes for a folder.
    table : AnnData
        Rows of the cohort's patients only, named by them, in the cohort's order.
    has : ndarray of bool, shape (n,)
        Which patients of the cohort it holds.
    """

    path: str
    digest: str
    table: anndata.AnnData
    has: NDArray[np.bool_]

    def rows_of(self, cases: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """Name the rows of some patients.

        Parameters
        ----------
        cases : sequence of int
            Rows of the cohort.

        Returns
        -------
        list of str
            Of the patients that the table holds.
        """
        position = np.cumsum(self.has) - 1
        names = self.table.obs_names
        return [str(names[position[case]]) for case in cases if self.has[case]]

    def transform(
        self, spec: ModalitySpec
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Bring all patients into a model's features.

        Parameters
        ----------
        spec : ModalitySpec
            As fitted on training patients.

        Returns
        -------
        values : ndarray of float32, shape (n, g)
            0 where a patient has none.
        used : ndarray of bool, shape (n,)
            Patients whose values can be used.
        """
        scaled = transform_table(self.table, spec)
        used = self.has.copy()
        used[self.has] = scaled.obs["used"].to_numpy(bool)
        values = np.zeros((len(self.has), len(spec)), np.float32)
        matrix = np.asarray(scaled.X, np.float32)
        values[used] = matrix[scaled.obs["used"].to_numpy(bool)]
        return values, used


def read_tables_job(
    paths: Mapping[Modality, str | Path],
    patients: Sequence[str],
    reading: Mapping[Modality, Mapping[str, Any]] | None = None,
) -> Job[dict[Modality, CohortTable]]:
    """Read the tables of a cohort and find its patients in them.

    Parameters
    ----------
    paths : mapping of Modality to str or Path
        One table for each modality that there is.
    patients : sequence of str
        Identifiers, in the order of the cohort.
    reading : mapping of Modality to mapping, optional
        ``unit`` and ``samples_in`` where what is detected is wrong.

    Yields
    ------
    Progress
        Stage ``tables``.

    Returns
    -------
    dict of Modality to CohortTable
        In the order used everywhere.

    Raises
    ------
    OmicsError
        If a table cannot be read.
    ConfigurationError
        If a table holds none of the patients.
    """
    found = {}
    for modality in OMICS:
        if modality not in paths:
            continue
        path = Path(paths[modality]).expanduser().absolute()
        options = dict((reading or {}).get(modality, {}))
        yield Progress("tables", message=f"reading the {modality} table")
        try:
            table = yield from _without_counts(
                read_table_job(path, modality=modality, **options)
            )
        except (OmicsError, ConfigurationError) as err:
            err.args = (for_analysis(str(err), modality), *err.args[1:])
            err.add_note(f"in the {modality} table {str(path)!r}")
            raise
        found[modality] = _of_cohort(table, path, modality, patients)
    return found


def _of_cohort(
    table: anndata.AnnData, path: Path, modality: Modality, patients: Sequence[str]
) -> CohortTable:
    """Take the row of each patient, whatever else the table holds."""
    has = np.zeros(len(patients), bool)
    rows = []
    reason = ""
    for position, patient in enumerate(patients):
        try:
            rows.append(find_row(table, patient).index)
        except UnmatchedSampleError as err:
            reason = reason or str(err)
            continue
        has[position] = True
    if not rows:
        msg = (
            f"the {modality} table {str(path)!r} holds none of the {len(patients)} "
            f"patients of the manifest: {reason}"
        )
        raise ConfigurationError(msg)
    if len(rows) < len(patients):
        logger.warning(
            "%d of %d patients are not in the %s table, the first: %s",
            len(patients) - len(rows), len(patients), modality, reason,
        )  # fmt: skip
    own = table[rows].copy()
    own.obs_names = [p for p, there in zip(patients, has, strict=True) if there]
    return CohortTable(str(path), _digest(path), own, has)


def _digest(path: Path) -> str:
    """Fingerprint a file, or what a folder lists."""
    found = hashlib.sha256()
    if path.is_dir():
        for entry in sorted(path.rglob("*")):
            found.update(f"{entry.relative_to(path)} {entry.stat().st_size}".encode())
        return found.hexdigest()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _without_counts(reading: Job[anndata.AnnData]) -> Job[anndata.AnnData]:
    """Tell that a table is read, without the count of its bytes."""
    try:
        while True:
            yield Progress("tables", message=next(reading).message)
    except StopIteration as end:
        table: anndata.AnnData = end.value
        return table
    finally:
        reading.close()
