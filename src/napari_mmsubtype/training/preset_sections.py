"""The sections of a preset: what is built, and what later stages are to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping  # noqa: TC003 - annotations are read
from dataclasses import dataclass, field
from typing import Any, Literal

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_schema import parse_schema
from napari_mmsubtype.omics.fit_options import FitOptions

PAM50 = "pam50"
"""Gene sets that need no file: the fifty genes of the intrinsic subtypes, as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """The patch encoder.

    Attributes
    ----------
    name : str
        As `registry.create_encoder` takes it; the size of its patches is that of the
        preset's patch.
    weights : str, mapping of str to str, or None
        As `registry.create_encoder`: None for random ones, ``torchvision``, a file or
        folder, or one of these for each branch.
    options : mapping
        What the encoder takes besides its input size.
    """

    name: str
    weights: str | Mapping[str, str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "input_size" in self.options:
            msg = (
                "options has 'input_size'; the encoder takes patches of patch.size_px, "
                "set that"
            )
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneSetSettings:
    """Gene sets, each of which becomes a token of the model.

    Attributes
    ----------
    source : str
        ``pam50``, or a GMT file.
    min_size : int
        Sets with fewer of the model's features are left out.
    rest : {"token", "learned", "none"}
        What becomes of the features in no set: one token, learned groups, or nothing.
    learned : int
        Number of learned groups, with ``rest: learned``.
    """

    source: str
    min_size: int = 5
    rest: Literal["token", "learned", "none"] = "token"
    learned: int = 4

    def __post_init__(self) -> None:
        if self.min_size < 1 or self.learned < 1:
            msg = (
                f"min_size and learned must be at least 1, found {self.min_size} and "
                f"{self.learned}"
            )
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalitySettings:
    """How a table becomes the model's features, on training patients alone.

    Attributes
    ----------
    clip : float
        Scaled values are clipped to ± this.
    min_coverage : float
        Least share of the weight that a later sample must cover, 0 to 1.
    options : FitOptions
        Unit, filters, selection and imputation of a molecular table.
    schema : mapping or None
        Variables of a clinical table, as `clinical_schema.parse_schema`; None takes
        every column that cannot give the label away.
    gene_sets : GeneSetSettings or None
        Tokens of the model; None leaves them to the fusion model.
    """

    clip: float = 6.0
    min_coverage: float = 0.5
    options: FitOptions = field(default_factory=FitOptions)
    schema: Mapping[str, Any] | None = None
    gene_sets: GeneSetSettings | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_coverage <= 1 or self.clip <= 0:
            msg = (
                f"min_coverage is a share from 0 to 1 and clip positive, found "
                f"{self.min_coverage} and {self.clip}"
            )
            raise ConfigurationError(msg)
        if self.schema is not None:
            parse_schema(self.schema)

    def foreign(self, modality: Modality) -> list[str]:
        """List the settings that a table of this kind does not have.

        Parameters
        ----------
        modality : Modality
            Whose table it is.

        Returns
        -------
        list of str
            Paths with points, such as ``options.aggregate``.
        """
        if modality is Modality.CLINICAL:
            return ["options", "gene_sets"]
        if modality is Modality.RNA:
            return ["schema", "options.aggregate", "options.keep_sex_chromosomes"]
        return ["schema", "options.min_expression", "options.min_expressed"]

    def idle(self, modality: Modality) -> list[str]:
        """List the settings that change nothing for a table.

        Parameters
        ----------
        modality : Modality
            Whose table it is.

        Returns
        -------
        list of str
            Those of `foreign`, and those that another setting switches off.
        """
        idle = self.foreign(modality)
        if modality is Modality.CLINICAL:
            return idle
        if self.options.select == "none":
            idle.append("options.top")
        if self.options.imputation != "knn":
            idle.append("options.neighbors")
        if self.gene_sets is None:
            idle.append("gene_sets")
        elif self.gene_sets.rest != "learned":
            idle.append("gene_sets.learned")
        return idle


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionSettings:
    """The model over patches and tables.

    Attributes
    ----------
    name : str
        As `fusion.create_fusion` takes it.
    options : mapping
        What the model takes besides sizes.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSettings:
    """How the worth of the model is measured; read by cross-validation.

    Attributes
    ----------
    folds : int
        Outer folds; each is the test set once.
    group : {"patient", "site", "image"}
        What is never divided: patients, whole sites, or nothing, as image-level splits
        do, whose results only compare with other image-level splits.
    stratify : bool
        Whether folds hold the classes in equal shares.
    inner_share : float
        Share of the other folds' patients held out for early stopping, temperature and
        thresholds, above 0 and below 1.
    seeds : tuple of int
        One complete cross-validation for each, with this seed for folds, first weights
        and training.
    bootstrap : int
        Resamples of patients behind each interval.
    """

    folds: int = 5
    group: Literal["patient", "site", "image"] = "patient"
    stratify: bool = True
    inner_share: float = 0.2
    seeds: tuple[int, ...] = (0,)
    bootstrap: int = 2000

    def __post_init__(self) -> None:
        problems = []
        if self.folds < 2:
            problems.append(f"folds must be at least 2, found {self.folds}")
        if not 0 < self.inner_share < 1:
            problems.append(
                f"inner_share must be between 0 and 1, found {self.inner_share}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            problems.append(f"seeds must be different numbers, found {self.seeds}")
        if min(self.seeds, default=0) < 0 or self.bootstrap < 1:
            problems.append("seeds must not be negative and bootstrap at least 1")
        if problems:
            raise ConfigurationError("; ".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSettings:
    """What the model has to beat on the same folds; read by cross-validation.

    Attributes
    ----------
    fusions : tuple of str
        Fusion models in its place.
    encoders : tuple of str
        Encoders in the place of its own.
    """

    fusions: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisSettings:
    """Synthetic patches of StyleGAN2-ADA for training; read by image synthesis.

    Attributes
    ----------
    scope : {"training-fold"}
        Patients that the generator sees: those whose patches the classifier is trained
        on, and no others. Nothing synthetic is ever validated or tested on.
    classes : {"rare", "all"}
        Rare classes are filled up to the most frequent one, or all take part alike.
    ratio : float
        At most so many synthetic patches for each real one.
    resolution : int
        Side of a synthetic patch in pixels, a power of two.
    channel_base, channel_max : int
        A layer of side r has ``min(channel_base / r, channel_max)`` channels.
    mapping_layers : int
        Layers from noise to style.
    batch_size : int
        Images per step.
    kimg : int
        Thousands of real images shown to the discriminator.
    learning_rate : float
        Of both networks.
    r1_gamma : float
        Weight of the gradient penalty.
    ema_kimg : float
        Half-life of the averaged generator, in thousands of images.
    style_mixing : float
        Chance that a patch is made of two styles, 0 to 1.
    path_length_weight : float
        Weight of the path length penalty; 0 for none.
    ada_target : float
        Share by which real images are told from others that augmentation aims at.
    ada_kimg : float
        Thousands of images in which augmentation could rise from never to always.
    truncation : float
        Styles are drawn towards the mean by this factor, above 0 to 1.
    min_confidence : float
        A patch is kept if the fold's own classifier is so sure of its class.
    max_distance_percentile : float
        And if it lies no farther from its class in embeddings than this percentile of
        the real ones.
    seed : int
        Of the generator's training and of the patches drawn.
    """

    scope: Literal["training-fold"] = "training-fold"
    classes: Literal["rare", "all"] = "rare"
    ratio: float = 1.0
    resolution: int = 128
    channel_base: int = 16384
    channel_max: int = 512
    mapping_layers: int = 2
    batch_size: int = 32
    kimg: int = 500
    learning_rate: float = 0.0025
    r1_gamma: float = 0.1
    ema_kimg: float = 10.0
    style_mixing: float = 0.5
    path_length_weight: float = 0.0
    ada_target: float = 0.6
    ada_kimg: float = 100.0
    truncation: float = 0.8
    min_confidence: float = 0.8
    max_distance_percentile: float = 95.0
    seed: int = 0

    def __post_init__(self) -> None:
        size = self.resolution
        if size < 8 or size & (size - 1):
            msg = f"resolution must be a power of two from 8 px, found {size}"
            raise ConfigurationError(msg)
        positive = (
            "ratio",
            "channel_base",
            "channel_max",
            "mapping_layers",
            "batch_size",
            "kimg",
            "learning_rate",
            "ema_kimg",
            "ada_kimg",
            "truncation",
        )
        shares = ("style_mixing", "ada_target", "truncation", "min_confidence")
        rules: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
            (positive, lambda v: v > 0, "positive"),
            (("r1_gamma", "path_length_weight"), lambda v: v >= 0, "not negative"),
            (shares, lambda v: 0 <= v <= 1, "from 0 to 1"),
            (
                ("max_distance_percentile",),
                lambda v: 0 < v <= 100,
                "a percentile, above 0 to 100",
            ),
        )
        problems = [
            f"{name} must be {expected}, found {getattr(self, name)}"
            for names, holds, expected in rules
            for name in names
            if not holds(getattr(self, name))
        ]
        if problems:
            raise ConfigurationError("; ".join(problems))
