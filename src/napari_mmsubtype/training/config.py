"""How an encoder or a fusion model is trained, as plain records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError

Precision = Literal["float32", "bfloat16", "auto"]
"""Of the numbers in a forward pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """What every training has: how long, how fast, from which seed.

    Attributes
    ----------
    seed : int
        Of the order of the rows, of augmentation and of dropout.
    epochs : int
        Passes over the training rows.
    batch_size : int
        Rows per step.
    accumulation : int
        Parts in which the rows of a step are computed, one after another, to save
        memory; the step is the one of the whole batch.
    learning_rate : float
        Highest rate of AdamW, reached after warming up.
    weight_decay : float
        Of AdamW.
    warmup : float
        Part of the steps in which the rate rises from zero, 0 to below 1; it then
        falls along a cosine.
    label_smoothing : float
        Part of the target that is spread over all classes, 0 to below 1.
    focal_gamma : float
        Focus on what is called wrong: each class's part of the cross-entropy counts
        ``(1 - probability) ** focal_gamma``; 0 for plain cross-entropy.
    gradient_clip : float or None
        Longest gradient of a step; longer ones are shortened. None for no limit.
    ema : float
        Decay per step of the average of the weights that is validated and kept, 0 to
        below 1; 0 keeps the last weights themselves.
    precision : {"float32", "bfloat16", "auto"}
        Of the forward pass; weights and losses stay float32. ``auto`` takes bfloat16
        on a GPU that has it.
    """

    seed: int = 0
    epochs: int = 10
    batch_size: int = 32
    accumulation: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    gradient_clip: float | None = None
    ema: float = 0.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        self._require("epochs", self.epochs >= 1, "at least 1")
        self._require("batch_size", self.batch_size >= 1, "at least 1")
        self._require("learning_rate", self.learning_rate > 0, "positive")
        self._require("weight_decay", self.weight_decay >= 0, "not negative")
        self._require("warmup", 0 <= self.warmup < 1, "from 0 to below 1")
        self._require(
            "label_smoothing", 0 <= self.label_smoothing < 1, "from 0 to below 1"
        )
        self._require(
            "accumulation",
            1 <= self.accumulation <= self.batch_size,
            f"from 1 to batch_size ({self.batch_size})",
        )
        self._require(
            "focal_gamma", 0 <= self.focal_gamma < math.inf, "finite, not negative"
        )
        clip = self.gradient_clip
        self._require("gradient_clip", clip is None or clip > 0, "positive or none")
        self._require("ema", 0 <= self.ema < 1, "from 0 to below 1")
        names = get_args(Precision)
        self._require(
            "precision", self.precision in names, f"one of {', '.join(names)}"
        )

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            msg = f"training: {name} must be {expected}, found {getattr(self, name)!r}"
            raise ConfigurationError(msg)

    def rate(self, step: int, steps: int) -> float:
        """Give the learning rate of a step: linear warm-up, then cosine to zero.

        Parameters
        ----------
        step : int
            Steps already taken.
        steps : int
            Steps of the whole training.

        Returns
        -------
        float
            Positive, `learning_rate` at most.
        """
        rising = self.warmup * steps
        if step < rising:
            return self.learning_rate * (step + 1) / math.ceil(rising)
        turn = math.pi * (step - rising) / max(steps - rising, 1)
        return self.learning_rate * max(0.5 * (1 + math.cos(turn)), 1e-3)

    def to_dict(self) -> dict[str, Any]:
        """Turn the record into plain JSON types.

        Returns
        -------
        dict
            The fields by name; `from_dict` reverses it.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: {str(k): v for k, v in value.items()}
            if isinstance(value, Mapping)
            else value
            for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote, or a user's settings.

        Parameters
        ----------
        data : mapping
            Fields by name; those not named keep their defaults.

        Returns
        -------
        TrainingConfig
            Of the class it is called on.

        Raises
        ------
        ConfigurationError
            If a field is unknown or its value impossible.
        """
        known = sorted(f.name for f in fields(cls))
        unknown = sorted(set(data) - set(known))
        if unknown:
            msg = f"training: unknown settings {unknown}; known are {', '.join(known)}"
            raise ConfigurationError(msg)
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchTrainingConfig(TrainingConfig):
    """Training of an encoder on labelled patches.

    Attributes
    ----------
    turns : bool
        Whether patches are turned by quarters and mirrored.
    randaug_ops : int
        Random changes made to each patch, one after another; 0 for none.
    randaug_magnitude : float
        How strong they are, 0 to 1.
    stain_jitter : float
        Relative spread of the strength of each stain, 0 for none.
    tint_jitter : float
        Relative spread of the optical density of each color channel.
    hed_scale : float
        Each stain is multiplied by 1 ± up to this; 0.05 is common, 0 for none.
    hed_shift : float
        To each stain is added ± up to this, in optical density; 0.05 is common, 0 for
        none.
    feature_noise : float
        Spread of the noise added to the normalized image.
    feature_penalty : float
        Weight of the mean squared feature in the loss; keeps embeddings moderate.
    backbone_rate : float
        Learning rate of what may come pretrained (`Encoder.backbone`), as a multiple of
        the ``learning_rate`` of everything else.
    layer_decay : float
        Each layer of the backbone has the rate of the next one towards the output times
        this, above 0 to 1.
    frozen : float
        Part of the backbone's layers, counted from the input, that stay as they are, 0
        to 1.
    head_first_epochs : int
        Epochs at the start in which the whole backbone stays as it is.
    class_weights : bool
        Whether rare classes count more, so that all classes weigh the same.
    branch_weight : float
        Weight of the loss of a head on each branch; for encoders with branches.
    alignment_weight : float
        Weight of the disagreement of the branches about each token; for encoders with
        branches.
    patience : int
        Epochs without a better validation loss before stopping, where there are
        validation patches.
    patches_per_slide : int
        Patches of each slide that are drawn for training, and kept on disk as pixels;
        read by cross-validation and `train`.
    """

    turns: bool = True
    randaug_ops: int = 0
    randaug_magnitude: float = 0.3
    stain_jitter: float = 0.25
    tint_jitter: float = 0.08
    hed_scale: float = 0.0
    hed_shift: float = 0.0
    feature_noise: float = 0.0
    feature_penalty: float = 0.0
    backbone_rate: float = 1.0
    layer_decay: float = 1.0
    frozen: float = 0.0
    head_first_epochs: int = 0
    class_weights: bool = False
    branch_weight: float = 0.0
    alignment_weight: float = 0.0
    patience: int = 10
    patches_per_slide: int = 64

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        for name in ("stain_jitter", "tint_jitter", "hed_scale"):
            self._require(name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        for name in (
            "hed_shift",
            "feature_noise",
            "feature_penalty",
            "branch_weight",
            "alignment_weight",
        ):
            self._require(name, getattr(self, name) >= 0, "not negative")
        self._require("backbone_rate", self.backbone_rate > 0, "positive")
        for name in ("patience", "patches_per_slide"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("randaug_ops", self.randaug_ops >= 0, "not negative")
        for name in ("randaug_magnitude", "frozen"):
            self._require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        self._require("layer_decay", 0 < self.layer_decay <= 1, "above 0 to 1")
        self._require(
            "head_first_epochs",
            0 <= self.head_first_epochs <= self.epochs,
            f"from 0 to epochs ({self.epochs})",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionTrainingConfig(TrainingConfig):
    """Training of a fusion model on bags of embeddings and omics.

    Attributes
    ----------
    patches_per_bag : int or None
        Patches drawn from each bag anew in each step; None takes all.
    drop : mapping of Modality to float
        Chance that a present modality is hidden in a step, 0 to below 1; one always
        stays.
    alone_weight : float
        Weight of the loss of each present modality on its own, against collapse onto
        the easiest one.
    consistency : float
        Weight of the divergence of the class called with hidden modalities from that
        with all.
    steadiness : float
        Weight of the squared change that tables make to the evidence of patches, so
        that tables steer the image only as far as it pays, and do not speak through it.
    embedding_noise : float
        Spread of the noise added to embeddings, in their own standard deviations.
    omics_noise : float
        Spread of the noise added to the standardized omics.
    class_weights : bool
        Whether rare classes count more, so that all classes weigh the same.
    head_weights : mapping of str to float
        Weight of the loss of each head but the first, by name; 1 where not named.
    patience : int
        Epochs without a better validation loss before stopping.
    """

    gradient_clip: float | None = 1.0
    patches_per_bag: int | None = 256
    drop: Mapping[Modality, float] = field(
        default_factory=lambda: MappingProxyType(
            {
                Modality.IMAGE: 0.25,
                Modality.RNA: 0.35,
                Modality.METHYLATION: 0.5,
                Modality.CLINICAL: 0.5,
            }
        )
    )
    alone_weight: float = 0.3
    consistency: float = 0.0
    steadiness: float = 0.0
    embedding_noise: float = 0.0
    omics_noise: float = 0.0
    class_weights: bool = True
    head_weights: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({})
    )
    patience: int = 20

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        self._require(
            "patches_per_bag",
            self.patches_per_bag is None or self.patches_per_bag >= 1,
            "at least 1",
        )
        self._require("patience", self.patience >= 1, "at least 1")
        for name in (
            "alone_weight",
            "consistency",
            "steadiness",
            "embedding_noise",
            "omics_noise",
        ):
            self._require(name, getattr(self, name) >= 0, "not negative")
        try:
            drop = {Modality(m): float(p) for m, p in self.drop.items()}
        except ValueError as err:
            msg = f"training: drop must give chances by modality, found {self.drop!r}"
            raise ConfigurationError(msg) from err
        object.__setattr__(self, "drop", MappingProxyType(drop))
        weights = {str(name): float(w) for name, w in self.head_weights.items()}
        object.__setattr__(self, "head_weights", MappingProxyType(weights))
        self._require(
            "head_weights",
            all(0 <= w < math.inf for w in weights.values()),
            "finite and not negative",
        )
        self._require(
            "drop", all(0 <= p < 1 for p in drop.values()), "chances from 0 to below 1"
        )
