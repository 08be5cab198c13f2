"""Heads that choose among classes: unordered, or ordered such as stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch.nn import functional as F

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.head_temperature import check_temperature
from napari_mmsubtype.models.ordinal import corn_loss, corn_probabilities

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ClassHead:
    """Which class: cross-entropy; answers with probabilities.

    Targets are class indices.

    Attributes
    ----------
    labels : tuple of str
        Names of the classes; at least one, all different.
    temperature : float or None
        Divides the logits in answers; None where it was not fitted. The first head of
        a model has none: its temperature is the bundle's.
    """

    kind: ClassVar[str] = "classes"

    labels: tuple[str, ...]
    temperature: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(str(name) for name in self.labels))
        if len(set(self.labels)) < max(len(self.labels), 1):
            msg = (
                "a class head needs at least one class, of different names, found "
                f"{list(self.labels)}"
            )
            raise ConfigurationError(msg)
        check_temperature(self.temperature)

    @property
    def size(self) -> int:
        """Give the number of logits."""
        return len(self.labels)

    @property
    def words(self) -> str:
        """Say what is asked."""
        return f"one of {', '.join(self.labels)}"

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Give the shape of one case's target."""
        return ()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compare logits with known targets.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.
        targets : Tensor of float
            One per case, all known.

        Returns
        -------
        Tensor of float, shape ()
            Mean.
        """
        return F.cross_entropy(logits, targets.long())

    def answer(self, logits: Tensor) -> Tensor:
        """Give the probabilities of the classes.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.

        Returns
        -------
        Tensor of float, shape (b, classes)
            By case.
        """
        return (logits / (self.temperature or 1.0)).softmax(dim=1)


@dataclass(frozen=True, slots=True)
class OrdinalHead:
    """Which level of an order, e.g. stage: CORN; answers with probabilities.

    Targets are numbers of levels, from 0.

    Attributes
    ----------
    levels : tuple of str
        Names of the levels, lowest first; at least two, all different.
    late : str or None
        The first level that counts as late, None where the order is not divided.
    temperature : float or None
        Divides the logits in answers; None where it was not fitted.
    """

    kind: ClassVar[str] = "ordinal"

    levels: tuple[str, ...]
    late: str | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(str(name) for name in self.levels))
        if len(set(self.levels)) < max(len(self.levels), 2):
            msg = (
                "an ordinal head needs at least two levels of different names, found "
                f"{list(self.levels)}"
            )
            raise ConfigurationError(msg)
        if self.late is not None and self.late not in self.levels[1:]:
            msg = (
                f"the first late level must be one of {list(self.levels[1:])}, found "
                f"{self.late!r}"
            )
            raise ConfigurationError(msg)
        check_temperature(self.temperature)

    @property
    def size(self) -> int:
        """Give the number of logits."""
        return len(self.levels) - 1

    @property
    def words(self) -> str:
        """Say what is asked."""
        late = f", late from {self.late}" if self.late else ""
        return f"one level of {', '.join(self.levels)}, in this order{late}"

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Give the shape of one case's target."""
        return ()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compare logits with known targets.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.
        targets : Tensor of float
            One per case, all known.

        Returns
        -------
        Tensor of float, shape ()
            Mean.
        """
        return corn_loss(logits, targets.long())

    def answer(self, logits: Tensor) -> Tensor:
        """Give the probabilities of the levels.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.

        Returns
        -------
        Tensor of float, shape (b, levels)
            By case.
        """
        return corn_probabilities(logits / (self.temperature or 1.0))
