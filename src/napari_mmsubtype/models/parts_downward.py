"""List the parts of a fusion model that hold weights, from its logits down.

The parts of a module follow in the reverse order of their making, those of a
`torch.nn.ModuleDict` in its own, as they lie side by side; what a module holds itself,
such as a learned token, comes last. A module that computes in another order names the
parts that come first in a class attribute ``downward``, nearest to its output first:
children by name, dots allowed, and `OWN` for what it holds itself. Names of children
that it was made without do not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from napari_mmsubtype.models.fold_ensemble import FoldEnsemble
from napari_mmsubtype.models.fusion import OWN

if TYPE_CHECKING:
    from napari_mmsubtype.models.fusion import FusionModel


def parts_downward(model: FusionModel) -> dict[str, list[nn.Module]]:
    """List the modules with weights of their own, from the logits down.

    Parameters
    ----------
    model : FusionModel
        Any; of an ensemble, the same part of all members is one part.

    Returns
    -------
    dict of str to list of torch.nn.Module
        By name within the model, or within each member; what the model holds itself
        goes by the name of its class. Single numbers are no weights.
    """
    members = [model]
    if isinstance(model, FoldEnsemble):
        # They answer side by side: with the head of one drawn anew, the others go on.
        members = [joined.model for joined in model.members]  # type: ignore[misc]
    found: dict[str, list[nn.Module]] = {}
    for member in members:
        own: dict[str, nn.Module] = {}
        _collect(member, "", own)
        for name, part in own.items():
            found.setdefault(name or type(member).__name__, []).append(part)
    return found


def _collect(module: nn.Module, name: str, found: dict[str, nn.Module]) -> None:
    """Add the parts of a module in their order; those that are there stay in place."""
    children = [child for child, _ in module.named_children()]
    if not isinstance(module, nn.ModuleDict):
        children.reverse()
    inside = dict(module.named_modules())
    for child in (*getattr(module, "downward", ()), *children, OWN):
        if child != OWN and child in inside:
            _collect(inside[child], f"{name}.{child}" if name else child, found)
        elif child == OWN and any(
            weight.numel() > 1 for weight in module.parameters(recurse=False)
        ):
            found.setdefault(name, module)
