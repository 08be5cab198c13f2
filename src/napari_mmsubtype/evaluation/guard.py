"""Say whether a patient resembles those that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.trust import GuardReport
from napari_mmsubtype.evaluation.image_guard import ImageGuard, fit_image_guard
from napari_mmsubtype.evaluation.oddness import MIN_PATIENTS
from napari_mmsubtype.evaluation.table_guard import TableGuard, fit_table_guard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

PREFIX = "guard."
"""What the names of a guard's arrays begin with in ``reference.npz``."""

NO_REFERENCE = (
    "the model holds no reference of its training patients: whether this patient "
    "resembles them was not judged"
)


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """What training patients look like, modality by modality.

    Attributes
    ----------
    image : ImageGuard or None
        Of the slides; None where they were too few.
    tables : mapping of Modality to TableGuard
        Of the tables; without those that too few patients had.
    """

    image: ImageGuard | None = None
    tables: Mapping[Modality, TableGuard] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything can be judged."""
        return self.image is not None or bool(self.tables)

    def judge(
        self,
        embeddings: ArrayLike | None,
        omics: Mapping[Modality, ArrayLike],
        names: Mapping[Modality, Sequence[str]],
        *,
        rows: ArrayLike | None = None,
    ) -> GuardReport:
        """Compare one patient with the training patients.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d), or None
            Of the patches that the call is made from; None where there is no slide.
        omics : mapping of Modality to array_like of float, shape (g,)
            Model-ready values of the tables at hand.
        names : mapping of Modality to sequence of str
            Of the features.
        rows : array_like of int, shape (n,), optional
            Where the patches stand in the store.

        Returns
        -------
        GuardReport
            A finding for each modality that has a reference.
        """
        if not self:
            return GuardReport(problem=NO_REFERENCE)
        findings = []
        if self.image is not None and embeddings is not None:
            findings.append(self.image.judge(embeddings, rows))
        findings += [
            self.tables[modality].judge(modality.value, values, names[modality])
            for modality, values in omics.items()
            if modality in self.tables
        ]
        return GuardReport(tuple(findings), problem="" if findings else NO_REFERENCE)

    def problems(self, dim: int, features: Mapping[Modality, int]) -> list[str]:
        """Look for references that are not of this model.

        Parameters
        ----------
        dim : int
            Length of an embedding.
        features : mapping of Modality to int
            Features of each table.

        Returns
        -------
        list of str
            Empty if all fits.
        """
        found = []
        if self.image is not None and len(self.image.slides.mean) != dim:
            found.append(
                f"the image reference has {len(self.image.slides.mean)} features but "
                f"the encoder gives {dim}"
            )
        for modality, guard in self.tables.items():
            own, expected = len(guard.space.mean), features.get(modality)
            if own != expected:
                found.append(
                    f"the {modality} reference has {own} features but the model takes "
                    f"{expected or 'no such table'}"
                )
        return found

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Turn the guard into plain arrays, for ``reference.npz``.

        Returns
        -------
        dict of str to ndarray
            Every name begins with `PREFIX`; `from_arrays` reverses it.
        """
        parts: dict[str, ImageGuard | TableGuard] = {
            m.value: guard for m, guard in self.tables.items()
        }
        if self.image is not None:
            parts[Modality.IMAGE.value] = self.image
        return {
            f"{PREFIX}{modality}.{name}": value
            for modality, guard in parts.items()
            for name, value in guard.to_arrays().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Guard:
        """Read what `to_arrays` wrote; arrays of other names are left aside.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As of ``reference.npz``.

        Returns
        -------
        Guard
            The same to the precision of float32; one that judges nothing where there
            are no arrays of a guard.

        Raises
        ------
        ValueError
            If an array is missing or does not fit the others.
        """
        found: dict[str, dict[str, NDArray[np.generic]]] = {}
        for name, value in arrays.items():
            if name.startswith(PREFIX):
                modality, _, rest = name.removeprefix(PREFIX).partition(".")
                found.setdefault(modality, {})[rest] = value
        unknown = sorted(set(found) - set(Modality))
        if unknown:
            msg = f"the reference is of unknown modalities: {', '.join(unknown)}"
            raise ValueError(msg)
        image = found.get(Modality.IMAGE)
        return cls(
            image=None if image is None else ImageGuard.from_arrays(image),
            tables={
                m: TableGuard.from_arrays(found[m]) for m in OMICS if m.value in found
            },
        )


def fit_guard(
    bags: Sequence[ArrayLike],
    omics: Mapping[Modality, ArrayLike],
    present: Mapping[Modality, ArrayLike] | None = None,
) -> Guard:
    """Learn what training patients look like.

    Parameters
    ----------
    bags : sequence of array_like of float, shape (patches, d)
        Embeddings, one bag per training patient.
    omics : mapping of Modality to array_like of float, shape (n, g)
        Model-ready tables of the same patients.
    present : mapping of Modality to array_like of bool, shape (n,), optional
        Which patients have each modality; all of them where it is left out.

    Returns
    -------
    Guard
        Without the modalities that fewer than `oddness.MIN_PATIENTS` patients have.
    """
    masks = {m: np.asarray(mask, bool) for m, mask in (present or {}).items()}
    seen = masks.get(Modality.IMAGE, np.ones(len(bags), bool))
    slides = [bag for bag, has in zip(bags, seen, strict=True) if has]
    tables = {}
    for modality in OMICS:
        if modality not in omics:
            continue
        rows = np.asarray(omics[modality], dtype=np.float64)
        rows = rows[masks.get(modality, np.ones(len(rows), bool))]
        if len(rows) >= MIN_PATIENTS:
            tables[modality] = fit_table_guard(rows)
    return Guard(
        image=fit_image_guard(slides) if len(slides) >= MIN_PATIENTS else None,
        tables=tables,
    )
