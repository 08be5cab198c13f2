"""What a model takes of one modality, as fitted on its training patients."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_encoding import read_variables
from napari_mmsubtype.omics.feature_table import check_features
from napari_mmsubtype.omics.units import parse_unit

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.feature_groups import FeatureGroups

PROBE_COLUMNS = ("probe", "feature")
"""Columns of the table that says which probes are averaged into which feature."""


@dataclass(frozen=True, slots=True, eq=False)
class ModalitySpec:
    """The features of a model in one modality, as fitted on its training patients.

    Attributes
    ----------
    modality : Modality
        RNA, methylation or clinical.
    unit : str
        Unit of the model's values, for example ``"log2(tpm+1)"``.
    clip : float
        Scaled values are clipped to ± this.
    min_coverage : float
        Least share of the model's weight that a sample must have values for.
    features : DataFrame
        One row per input of the model, in its order; identifiers as text (``aliases``
        joined by ``|``), ``fill`` in the model's unit. The columns are those of
        `feature_table`: text and float64 only, so it goes through Parquet unchanged.
    rank_normal : bool
        Whether the values are replaced by the normal quantiles of their ranks within
        the sample before they are scaled; ``mean``, ``std`` and ``fill`` are then in
        quantiles.
    neighbors : int
        Number of training patients whose mean fills a gap; 0 fills by ``fill``.
    reference : DataFrame of float32, shape (training patient, feature), or None
        Scaled training patients, without their names, where ``neighbors`` is not 0.
    probes : DataFrame or None
        ``probe`` and ``feature``: the probes whose mean beta is each feature, where the
        model takes methylation by gene.
    groups : FeatureGroups or None
        Features by token, for models that make several tokens of a table.
    steps : tuple of str
        What fitting did, in words.
    """

    modality: Modality
    unit: str
    clip: float
    min_coverage: float
    features: pd.DataFrame
    rank_normal: bool = False
    neighbors: int = 0
    reference: pd.DataFrame | None = None
    probes: pd.DataFrame | None = None
    groups: FeatureGroups | None = None
    steps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "modality", Modality(str(self.modality)))
        if self.modality is not Modality.CLINICAL:
            object.__setattr__(self, "unit", parse_unit(self.unit, self.modality).name)
        object.__setattr__(
            self, "features", check_features(self.features, self.modality)
        )
        if self.modality is Modality.CLINICAL:
            read_variables(self.features)  # Refused now rather than for a patient.
        object.__setattr__(self, "steps", tuple(map(str, self.steps)))
        if not (0 < self.clip < math.inf and 0 <= self.min_coverage <= 1):
            msg = (
                f"{self.modality.value}: values are clipped to {self.clip} and "
                f"{self.min_coverage} of the weight is needed; expected a positive "
                "number, and 0 to 1"
            )
            raise ConfigurationError(msg)
        if (self.neighbors > 0) != (self.reference is not None):
            msg = (
                f"{self.modality.value}: filling by {self.neighbors} neighbors and "
                f"{'no' if self.reference is None else 'a'} table of training patients "
                "do not fit; give both or neither"
            )
            raise ConfigurationError(msg)
        if self.reference is not None:
            object.__setattr__(self, "reference", self._check_reference())
        if self.probes is not None:
            object.__setattr__(self, "probes", self._check_probes(self.probes))
        if self.groups is not None:
            last = max(map(max, self.groups.members))
            if last >= len(self):
                msg = (
                    f"{self.modality.value}: a group names feature {last}, and there "
                    f"are {len(self)}; match the gene sets to these features again"
                )
                raise ConfigurationError(msg)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in the model's order."""
        return tuple(self.features["feature"])

    def with_weights(self, weights: NDArray[np.floating]) -> ModalitySpec:
        """Say how much the model leans on each feature.

        Parameters
        ----------
        weights : ndarray of float, shape (feature,)
            Not negative; only their proportions matter.

        Returns
        -------
        ModalitySpec
            The same but for the weights.
        """
        return replace(self, features=self.features.assign(weight=weights))

    def with_groups(self, groups: FeatureGroups) -> ModalitySpec:
        """Say which features make each token of the model.

        Parameters
        ----------
        groups : FeatureGroups
            As `feature_groups.match_gene_sets` on these features.

        Returns
        -------
        ModalitySpec
            The same but for the groups.
        """
        return replace(self, groups=groups)

    def with_identifiers(self, identifiers: pd.DataFrame) -> ModalitySpec:
        """Complete what else the features are called, for example by the HGNC.

        Parameters
        ----------
        identifiers : DataFrame
            Index the features' names; any of the columns ``ensembl``, ``entrez`` and
            ``aliases`` (joined by ``|``). Names that are no feature are left aside.

        Returns
        -------
        ModalitySpec
            Identifiers where there were none, aliases added to those known.

        Raises
        ------
        ConfigurationError
            If the features are clinical, or a name stands twice.
        """
        if self.modality is Modality.CLINICAL or not identifiers.index.is_unique:
            msg = (
                f"identifiers of {self.modality.value} features need one row for each "
                "gene or probe, named by the index"
            )
            raise ConfigurationError(msg)
        given = identifiers.reindex(list(self.names)).fillna("").astype(str)
        features = self.features.copy()
        for column in ("ensembl", "entrez", "aliases"):
            if column not in given:
                continue
            pairs = zip(features[column], given[column], strict=True)
            if column == "aliases":
                cells = [
                    "|".join(
                        word
                        for word in dict.fromkeys([*own.split("|"), *other.split("|")])
                        if word
                    )
                    for own, other in pairs
                ]
            else:
                cells = [own or other for own, other in pairs]
            features[column] = np.array(cells, dtype=object)
        return replace(self, features=features)

    def _check_reference(self) -> pd.DataFrame:
        """Bring the training patients to their form."""
        import pandas as pd

        given = self.reference
        if given is None or tuple(map(str, given.columns)) != self.names or given.empty:
            msg = (
                f"{self.modality.value}: the table of training patients has not the "
                f"model's {len(self)} features in their order; fit again"
            )
            raise ConfigurationError(msg)
        return pd.DataFrame(
            given.to_numpy(dtype=np.float32), columns=list(self.names)
        )  # Without the index: it names patients.

    def _check_probes(self, given: pd.DataFrame) -> pd.DataFrame:
        """Bring the table of probes to its form."""
        import pandas as pd

        if self.modality is not Modality.METHYLATION or not {*PROBE_COLUMNS} <= {
            *given.columns
        }:
            msg = (
                f"{self.modality.value}: a table of probes with columns 'probe' and "
                f"'feature' belongs to methylation; found {list(given.columns)}"
            )
            raise ConfigurationError(msg)
        table = pd.DataFrame(
            {c: np.array([str(cell) for cell in given[c]], object)
             for c in PROBE_COLUMNS}
        )  # fmt: skip
        strangers = set(table["feature"]) - set(self.names)
        if strangers:
            msg = (
                f"{len(strangers)} features of the table of probes are not the "
                f"model's, such as {min(strangers)!r}; fit again"
            )
            raise ConfigurationError(msg)
        return table
