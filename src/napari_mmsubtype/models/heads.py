"""Several questions to one trunk: classes, ordered stages, risk.

A head owns columns of the logits of a fusion model that is made with
``classes=heads.size``, so whatever explains a logit explains each answer too.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Head: TypeAlias = ClassHead | OrdinalHead | CoxHead | HazardHead
"""One question: how many logits it takes, its loss and its answer."""

KINDS: dict[str, type[Head]] = {
    kind.kind: kind for kind in (ClassHead, OrdinalHead, CoxHead, HazardHead)
}
"""Heads by the name of their kind in a bundle."""

CLASS_HEAD = "class"
"""Name of the first head where nobody gave it one."""


def read_heads(description: Mapping[str, Mapping[str, Any]]) -> Heads:
    """Read what `Heads.describe` wrote.

    Parameters
    ----------
    description : mapping
        By name: ``kind`` and the head's own parameters.

    Returns
    -------
    Heads
        In the order given.

    Raises
    ------
    ConfigurationError
        If a kind or a parameter is unknown or impossible.
    """
    heads: dict[str, Head] = {}
    for name, entry in description.items():
        given = dict(entry)
        kind = given.pop("kind", None)
        if kind not in KINDS:
            msg = f"head {name!r} is of kind {kind!r}; known are {', '.join(KINDS)}"
            raise ConfigurationError(msg)
        # A string would pass for a sequence of one-letter names.
        if any(isinstance(given.get(key), str) for key in ("labels", "levels")):
            msg = f"head {name!r} must list its names, found {given}"
            raise ConfigurationError(msg)
        try:
            heads[name] = KINDS[kind](**given)
        except (TypeError, ValueError) as err:
            msg = f"head {name!r} is not described as one of kind {kind!r}: {err}"
            raise ConfigurationError(msg) from err
    return Heads(heads)


class Heads:
    """Named heads that share the logits of one fusion model.

    Parameters
    ----------
    heads : mapping of str to Head
        In the order of their columns. The first tells the classes of the model apart:
        calls, evidence and maps are its.

    Attributes
    ----------
    heads : dict of str to Head
        In the order of their columns.
    size : int
        Number of logits together.

    Raises
    ------
    ConfigurationError
        If the first head is none of classes, or a name is empty.
    """

    def __init__(self, heads: Mapping[str, Head]) -> None:
        self.heads = {str(name): head for name, head in heads.items()}
        first = next(iter(self.heads.values()), None)
        if not isinstance(first, ClassHead) or "" in self.heads:
            found = {name: head.kind for name, head in self.heads.items()}
            msg = (
                "the first head must tell classes apart, and every head needs a name, "
                f"found {found}"
            )
            raise ConfigurationError(msg)
        if first.temperature is not None:
            msg = (
                f"the first head has a temperature of {first.temperature}; expected "
                "none: that of the classes is kept beside the heads"
            )
            raise ConfigurationError(msg)
        self.classes = first
        self.size = sum(head.size for head in self.heads.values())

    @property
    def others(self) -> dict[str, Head]:
        """Every head but the first."""
        return dict(list(self.heads.items())[1:])

    def columns(self, name: str) -> slice:
        """Say which logits are a head's own.

        Parameters
        ----------
        name : str
            Of the head.

        Returns
        -------
        slice
            Of the logits of the fusion model.
        """
        start = 0
        for other, head in self.heads.items():
            if other == name:
                return slice(start, start + head.size)
            start += head.size
        msg = f"there is no head {name!r}; heads are {', '.join(self.heads)}"
        raise KeyError(msg)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Put the heads into plain JSON types.

        Returns
        -------
        dict
            By name, in order: ``kind`` and the head's own parameters, without those
            that are None; `read_heads` reverses it.
        """
        return {
            name: {
                "kind": head.kind,
                **{
                    key: list(value) if isinstance(value, tuple) else value
                    for key, value in asdict(head).items()
                    if value is not None
                },
            }
            for name, head in self.heads.items()
        }

    def split(self, logits: Tensor) -> dict[str, Tensor]:
        """Give each head its columns.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of the fusion model.

        Returns
        -------
        dict of str to Tensor of float, shape (b, head size)
            By name.

        Raises
        ------
        ValueError
            If the number of logits is not that of the heads.
        """
        if logits.ndim != 2 or logits.shape[1] != self.size:
            msg = f"logits must be (b, {self.size}), found {tuple(logits.shape)}"
            raise ValueError(msg)
        return {name: logits[:, self.columns(name)] for name in self.heads}

    def answers(self, logits: Tensor) -> dict[str, Tensor]:
        """Answer every question.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of the fusion model.

        Returns
        -------
        dict of str to Tensor of float
            By name; see each head.
        """
        return {
            name: self.heads[name].answer(own)
            for name, own in self.split(logits).items()
        }

    def losses(
        self, logits: Tensor, targets: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Compare logits with targets, question by question.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of the fusion model.
        targets : mapping of str to Tensor of float, shape (b, ...)
            Of some heads or all, by name; NaN where a case's target is unknown.

        Returns
        -------
        dict of str to Tensor of float, shape ()
            By name; without heads for which no target is known.

        Raises
        ------
        ValueError
            If names or shapes are not those of the heads.
        """
        if not set(targets) <= set(self.heads):
            msg = f"targets are for {sorted(targets)}, heads are {sorted(self.heads)}"
            raise ValueError(msg)
        losses: dict[str, Tensor] = {}
        parts = self.split(logits)
        for name, target in targets.items():
            head, own = self.heads[name], parts[name]
            if target.shape != (len(logits), *head.target_shape):
                msg = (
                    f"targets of {name!r} must be {(len(logits), *head.target_shape)}, "
                    f"found {tuple(target.shape)}"
                )
                raise ValueError(msg)
            known = ~target.isnan().view(len(logits), -1).any(dim=1)
            if bool(known.any()):
                losses[name] = head.loss(own[known], target[known])
        return losses
