"""One fold of a cohort in the features of one preset, fitted on its training part."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.record_reader import to_plain
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.splits import Split, assert_disjoint
from napari_mmsubtype.training.preset_build import build_heads, fit_modality_settings
from napari_mmsubtype.workflows.cohort import make_cases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.omics.modality_spec import ModalitySpec
    from napari_mmsubtype.training.bags import Bag, BagSet
    from napari_mmsubtype.training.preset import Preset
    from napari_mmsubtype.workflows.cohort import Cohort


@dataclass(frozen=True, slots=True, eq=False)
class FoldData:
    """What the models of one preset see of one fold.

    Attributes
    ----------
    preset : Preset
        With the seed of the repeat.
    heads : Heads
        Its questions.
    split : Split
        Rows of the cohort.
    specs : mapping of Modality to ModalitySpec
        Fitted on the training part.
    cases : BagSet
        All patients that have anything of the preset.
    sites : ndarray of str, shape (cases,)
        Of the cases.
    train, validation, test : ndarray of int64
        Positions among the cases.
    """

    preset: Preset
    heads: Heads
    split: Split
    specs: dict[Modality, ModalitySpec]
    cases: BagSet
    sites: NDArray[np.str_]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def parts(self) -> dict[str, NDArray[np.int64]]:
        """Give the positions by what they are for.

        Returns
        -------
        dict of str to ndarray of int64
            ``train``, ``validation`` and ``test``.
        """
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, slots=True, eq=False)
class FittedTable:
    """A table in features that were fitted on training patients.

    Attributes
    ----------
    spec : ModalitySpec
        The features.
    values : ndarray of float32, shape (n, g)
        Of all patients of the cohort; 0 where there is none.
    used : ndarray of bool, shape (n,)
        Patients that have it.
    """

    spec: ModalitySpec
    values: NDArray[np.float32]
    used: NDArray[np.bool_]


class TableCache:
    """Tables of one fold that were fitted already, for presets that ask for the same.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    """

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        self._kept: dict[str, FittedTable] = {}

    def fit(
        self, preset: Preset, modality: Modality, train: Sequence[int]
    ) -> FittedTable:
        """Fit the features of a table on training patients, and apply them to all.

        Parameters
        ----------
        preset : Preset
            With the settings of the modality.
        modality : Modality
            Of the table.
        train : sequence of int
            Rows of the cohort.

        Returns
        -------
        FittedTable
            The same for the same request.

        Raises
        ------
        ConfigurationError
            If no training patient is in the table, or as `fit_modality_settings`.
        """
        cohort = self.cohort
        table = cohort.tables[modality]
        rows = table.rows_of(train)
        if not rows:
            msg = f"none of {len(train)} training patients is in the {modality} table"
            raise ConfigurationError(msg)
        about = [str(modality), to_plain(preset.modalities[modality]), rows]
        text = json.dumps(about, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        if key not in self._kept:
            label = dict(zip(cohort.patients, cohort.labels.tolist(), strict=True))
            spec = fit_modality_settings(
                preset, table.table, rows, labels=[label[row] for row in rows]
            )
            self._kept[key] = FittedTable(spec, *table.transform(spec))
        return self._kept[key]


def prepare_fold(
    cohort: Cohort,
    preset: Preset,
    bags: Sequence[Bag],
    split: Split,
    cache: TableCache | None = None,
) -> FoldData:
    """Fit features on the training part of a fold, and apply them to all patients.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    preset : Preset
        With the tables of the cohort, and the seed of the repeat.
    bags : sequence of ndarray, each of shape (patches, d)
        Embeddings of all patients.
    split : Split
        Rows of the cohort.
    cache : TableCache or None, default: None
        Tables of this fold that were fitted already.

    Returns
    -------
    FoldData
        Whose parts were asserted to share no patient.

    Raises
    ------
    ConfigurationError
        If features cannot be fitted, or parts share a patient.
    """
    cache = cache or TableCache(cohort)
    train = split.train.tolist()
    fitted = {m: cache.fit(preset, m, train) for m in preset.modalities}
    tables = {m: (found.values, found.used) for m, found in fitted.items()}
    cases = make_cases(cohort, bags, tables)
    place = {name: position for position, name in enumerate(cases.patients)}
    row_of = {name: row for row, name in enumerate(cohort.patients)}

    def _positions(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        names = (cohort.patients[row] for row in rows)
        return np.array([place[n] for n in names if n in place], np.int64)

    data = FoldData(
        preset=preset,
        heads=build_heads(preset),
        split=split,
        specs={m: found.spec for m, found in fitted.items()},
        cases=cases,
        sites=cohort.sites[[row_of[name] for name in cases.patients]],
        train=_positions(split.train),
        validation=_positions(split.validation),
        test=_positions(split.test),
    )
    assert_disjoint(data.parts(), cases.patients)
    return data


def place_of(split: Split) -> dict[str, Any]:
    """Say which fold of which repeat a split is, as results name it.

    Parameters
    ----------
    split : Split
        Of the cohort.

    Returns
    -------
    dict
        ``repeat`` and ``fold``; a fixed test set is fold 0.
    """
    return {"repeat": int(split.repeat), "fold": max(int(split.fold), 0)}
