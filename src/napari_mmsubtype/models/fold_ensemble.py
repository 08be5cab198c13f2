"""Several trained models as one: their calibrated logits are averaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from napari_mmsubtype.core.cases import Modality, subset_key
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.fusion import (
    FusionModel,
    FusionOutput,
    create_fusion,
    register_fusion,
)
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.omics.spec_union import SpecView

NAME = "fold_ensemble"


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A trained model that is to be joined with others.

    Attributes
    ----------
    model : FusionModel
        Not changed.
    heads : Heads
        With its temperatures and centers.
    calibration : Calibration
        Of its classes.
    views : mapping of Modality to SpecView
        How it finds its features in the common tables.
    """

    model: FusionModel
    heads: Heads
    calibration: Calibration
    views: Mapping[Modality, SpecView]


class TableView(nn.Module):
    """Brings a vector of common features to those of one model, as `SpecView` says.

    Parameters
    ----------
    length : int
        Number of the model's features.
    has_categories : bool
        Whether some may be levels of a categorical variable.
    """

    index: Tensor
    scale: Tensor
    shift: Tensor
    clip: Tensor
    variable: Tensor
    fill: Tensor

    def __init__(self, length: int, *, has_categories: bool) -> None:
        super().__init__()
        self.has_categories = has_categories
        self.register_buffer("index", torch.arange(length))
        self.register_buffer("scale", torch.ones(length))
        self.register_buffer("shift", torch.zeros(length))
        self.register_buffer("clip", torch.tensor(1e6))
        if has_categories:
            self.register_buffer("variable", torch.full((length,), -1))
            self.register_buffer("fill", torch.zeros(length))

    def forward(self, vector: Tensor) -> Tensor:
        """Take the model's features.

        Parameters
        ----------
        vector : Tensor of float, shape (b, g)
            Common features.

        Returns
        -------
        Tensor of float, shape (b, length)
            On the model's scale.
        """
        own = vector[:, self.index] * self.scale + self.shift
        own = torch.minimum(torch.maximum(own, -self.clip), self.clip)
        if not self.has_categories:
            return own
        variable = self.variable
        alike = (variable[:, None] == variable) & (variable >= 0)
        # A level that this model never saw is none of its columns.
        said = own @ alike.to(own.dtype)
        return own + (1 - said) * self.fill


class _Joined(nn.Module):
    """A member with its tables, and what makes its logits comparable."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: FusionModel, patterns: int) -> None:
        super().__init__()
        self.model = model
        self.tables = nn.ModuleDict(
            {
                m: TableView(length, has_categories=m is Modality.CLINICAL)
                for m, length in model.omics.items()
            }
        )
        self.register_buffer("scale", torch.ones(patterns, model.classes))
        self.register_buffer("shift", torch.zeros(patterns, model.classes))


@register_fusion(NAME)
class FoldEnsemble(FusionModel):
    """Averages what several trained models say, each in its own features and scale.

    Each member's logits are divided by its temperature and moved by its offsets, those
    of the modalities that the patient has, and then averaged; so is evidence, which
    still adds up to the logits where that of the members does. As every member weighs
    the patches differently, no single query gives the evidence of a cell: the map is
    one of gradients (``exact_cam`` is False).

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of logits, of all heads.
    omics : mapping of str to int
        Omics modalities and the length of their common vectors.
    members : sequence of mapping
        ``name``, ``options`` and ``omics`` of each, as `create_fusion` takes them.

    Raises
    ------
    ConfigurationError
        If there is no member, or one is an ensemble itself or takes other modalities.
    """

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        members: Sequence[Mapping[str, Any]],
    ) -> None:
        super().__init__(dim, classes, omics)
        models = []
        for entry in members:
            if entry["name"] == NAME or set(entry["omics"]) != set(self.omics):
                msg = (
                    f"a member of {NAME} is a trained fusion model of "
                    f"{', '.join(self.modalities)}, found {entry['name']!r} of "
                    f"{', '.join(['image', *entry['omics']])}"
                )
                raise ConfigurationError(msg)
            models.append(
                create_fusion(
                    entry["name"],
                    dim=dim,
                    classes=classes,
                    omics=entry["omics"],
                    **entry["options"],
                )
            )
        if not models:
            msg = f"{NAME} needs at least one member"
            raise ConfigurationError(msg)
        patterns = 2 ** len(self.modalities)
        self.members = nn.ModuleList(_Joined(model, patterns) for model in models)
        used = {m for model in models for m in model.uses}
        self.uses = tuple(m for m in self.modalities if m in used)

    def _fuse(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> FusionOutput:
        bits = 2 ** torch.arange(present.shape[1], device=present.device)
        pattern = (present * bits).sum(dim=1)
        outputs = [
            self._ask(m, bag, mask, values, present, pattern) for m in self.members
        ]
        names = outputs[0].modality_logits
        return FusionOutput(
            _mean([output.logits for output in outputs]),
            _mean([output.evidence for output in outputs]),
            _mean([output.weights for output in outputs]),
            {
                n: _mean([output.modality_logits[n] for output in outputs])
                for n in names
            },
        )

    @staticmethod
    def _ask(
        member: Any,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
        pattern: Tensor,
    ) -> FusionOutput:
        """Ask one member, and bring its answer to the common scale."""
        own = {m: member.tables[m](vector) for m, vector in values.items()}
        output: FusionOutput = member.model(bag, mask, own, present)
        scale, shift = member.scale[pattern], member.shift[pattern]
        parts = {name: part * scale for name, part in output.modality_logits.items()}
        if "bias" in parts:
            parts["bias"] = parts["bias"] + shift
        return FusionOutput(
            output.logits * scale + shift,
            output.evidence * scale.unsqueeze(1),
            output.weights,
            parts,
        )


def join_members(
    members: Sequence[Member], lengths: Mapping[Modality, int]
) -> tuple[FoldEnsemble, Heads]:
    """Join trained models.

    Parameters
    ----------
    members : sequence of Member
        At least one; of the same embeddings and questions.
    lengths : mapping of Modality to int
        Of the common tables.

    Returns
    -------
    model : FoldEnsemble
        In evaluation mode; its logits are calibrated.
    heads : Heads
        Its questions, without a temperature of their own.

    Raises
    ------
    ConfigurationError
        If the members answer different questions, or some were not calibrated.
    """
    plain = [_unscaled(member.heads) for member in members]
    names = {member.model.name for member in members}
    if len(names) > 1 or any(heads.heads != plain[0].heads for heads in plain[1:]):
        msg = (
            f"the models ({', '.join(sorted(names))}) answer different questions, are "
            "of different kinds, or not all of them were calibrated; join the folds of "
            "one preset"
        )
        raise ConfigurationError(msg)
    first = members[0].model
    with torch.random.fork_rng(devices=[]):
        model = create_fusion(
            NAME,
            dim=first.dim,
            classes=first.classes,
            omics={str(m): n for m, n in lengths.items()},
            members=[
                {
                    "name": member.model.name,
                    "options": member.model.options,
                    "omics": {str(m): n for m, n in member.model.omics.items()},
                }
                for member in members
            ],
        )
    joint = cast("FoldEnsemble", model.eval())
    for joined, member in zip(joint.members, members, strict=True):
        _fill(joined, member)
    return joint, plain[0]


def _fill(joined: Any, member: Member) -> None:
    """Put weights, features and scales of a member into its place."""
    joined.model.load_state_dict(member.model.state_dict())
    for modality, view in member.views.items():
        table = joined.tables[modality]
        known = {name: getattr(view, name) for name in table.state_dict()}
        table.load_state_dict(
            {name: torch.as_tensor(value) for name, value in known.items()}
        )
    modalities = member.model.modalities
    for pattern in range(len(joined.scale)):
        key = subset_key(m for k, m in enumerate(modalities) if pattern >> k & 1)
        scale, shift = _scaling(member, key)
        joined.scale[pattern], joined.shift[pattern] = scale, shift


def _scaling(member: Member, subset: str) -> tuple[Tensor, Tensor]:
    """Give what the logits from a subset are multiplied by and moved by."""
    scale = torch.ones(member.heads.size, dtype=torch.float64)
    shift = torch.zeros_like(scale)
    for name, head in member.heads.heads.items():
        columns = member.heads.columns(name)
        if head is member.heads.classes:
            found = member.calibration.scaling_of(subset)
            scale[columns] = 1 / found.temperature
            if found.offset:
                shift[columns] = torch.tensor(found.offset, dtype=torch.float64)
        elif isinstance(head, CoxHead):
            shift[columns] = -(head.center or 0.0)
        else:
            scale[columns] = 1 / (head.temperature or 1.0)
    return scale, shift


def _unscaled(heads: Heads) -> Heads:
    """Give the questions of logits that are scaled and centered already."""
    made = dict(heads.heads)
    for name, head in heads.others.items():
        if isinstance(head, CoxHead):
            made[name] = head if head.center is None else replace(head, center=0.0)
        elif head.temperature is not None:
            made[name] = replace(head, temperature=1.0)
    return Heads(made)


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(values)).mean(dim=0)
