"""Choices made before fitting: which features a model takes, and how prepared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How training patients become a `ModalitySpec`.

    Attributes
    ----------
    model_unit : str or None
        Unit of the model, for example ``"log2(tpm+1)"`` or ``"m-value"``; None keeps
        the table's, but counts need one (``"log2(cpm+1)"``) or `rank_normal`.
    min_expression, min_expressed : float
        RNA features must reach ``min_expression`` (in TPM, FPKM or counts, not in
        their logarithms; counts of whole transcriptomes per million) in at least this
        share of the training patients.
    max_missing : float
        Features without a value in a larger share of the training patients are dropped.
    select : {"none", "variance", "mad"}
        Keep the ``top`` features that vary most, by variance or by median absolute
        deviation, in the model's unit.
    top : int
        How many.
    std_floor : float
        Features that vary less are dropped; no standard deviation below it is
        divided by.
    rank_normal : bool
        Replace values by the normal quantiles of their ranks within the sample.
    imputation : {"median", "knn"}
        Fill gaps by the training median, or by the nearest training patients.
    neighbors : int
        How many of these.
    aggregate : {"none", "promoter", "gene"}
        Methylation by probe, or the mean beta of each gene's promoter or of all its
        probes; needs a table of probes.
    keep_sex_chromosomes : bool
        Keep probes on X and Y, which tell the sex, although a table of probes says
        where they are.
    """

    model_unit: str | None = None
    min_expression: float = 0.0
    min_expressed: float = 0.0
    max_missing: float = 1.0
    select: Literal["none", "variance", "mad"] = "none"
    top: int = 2000
    std_floor: float = 1e-3
    rank_normal: bool = False
    imputation: Literal["median", "knn"] = "median"
    neighbors: int = 5
    aggregate: Literal["none", "promoter", "gene"] = "none"
    keep_sex_chromosomes: bool = False

    def __post_init__(self) -> None:
        choices = {
            "select": ("none", "variance", "mad"),
            "imputation": ("median", "knn"),
            "aggregate": ("none", "promoter", "gene"),
        }
        problems = [
            f"{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}"
            for name, known in choices.items()
            if getattr(self, name) not in known
        ]
        problems += [
            f"{name} is {getattr(self, name)!r}, expected a share from 0 to 1"
            for name in ("min_expressed", "max_missing")
            if not 0 <= getattr(self, name) <= 1
        ]
        problems += [
            f"{name} is {getattr(self, name)!r}, expected at least 1"
            for name in ("top", "neighbors")
            if getattr(self, name) < 1
        ]
        if self.std_floor <= 0 or self.min_expression < 0:
            problems.append(
                f"std_floor {self.std_floor!r} must be above 0 and min_expression "
                f"{self.min_expression!r} not below it"
            )
        if problems:
            raise ConfigurationError("; ".join(problems))

    def to_dict(self) -> dict[str, Any]:
        """Turn the options into plain JSON types.

        Returns
        -------
        dict
            By name; `from_dict` reverses it.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FitOptions:
        """Read options, for example from a recipe.

        Parameters
        ----------
        data : mapping
            Any of the options by name.

        Returns
        -------
        FitOptions
            The rest take their defaults.

        Raises
        ------
        ConfigurationError
            If a name is unknown or a value impossible.
        """
        known = {field.name for field in fields(cls)}
        strange = sorted(set(data) - known)
        if strange:
            msg = (
                f"unknown options of preprocessing: {', '.join(map(repr, strange))}; "
                f"known are {', '.join(sorted(known))}"
            )
            raise ConfigurationError(msg)
        return cls(**data)


def standard_options(modality: str | Modality) -> FitOptions:
    """Give the options that suit a whole table of one modality.

    Parameters
    ----------
    modality : str or Modality
        ``rna``, ``methylation`` or ``clinical``.

    Returns
    -------
    FitOptions
        RNA: in log2(tpm+1), genes with TPM of at least 1 in a fifth of the patients,
        the 2,000 of greatest median absolute deviation. Methylation: in M-values,
        probes with values in four fifths of the patients, the 5,000 of greatest
        variance. Clinical: everything.
    """
    kind = Modality(str(modality))
    if kind is Modality.RNA:
        return FitOptions(
            model_unit="log2(tpm+1)",
            min_expression=1.0,
            min_expressed=0.2,
            max_missing=0.2,
            select="mad",
            top=2000,
        )
    if kind is Modality.METHYLATION:
        return FitOptions(
            model_unit="m-value", max_missing=0.2, select="variance", top=5000
        )
    return FitOptions()
