"""Attribute the logits to the features of the tables: integrated gradients."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from captum.attr import IntegratedGradients

from napari_mmsubtype.core.attributions import Attributions, TableAttribution
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.omics.baseline import baseline_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.fuse import CaseTensors
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

TOLERANCE = 1e-3
"""Allowed gap, as a share of the range of the logits."""
STEPS = (8, 32, 128, 256)
"""Points on the path, tried in turn until the gap is small enough."""
MAX_WORK = 2**18
"""Points times patches: no more points than this, so that the cost stays far below the
encoder's however large the bag is; 8 points are always taken."""
_SMALLEST_RANGE = 1e-2
# What the activations of a bag take, in floats: wide models keep dozens of layers.
_FLOATS_PER_PATCH = 8192
_MAX_FLOATS = 2**26


def attribute_features(
    case: CaseTensors,
    embeddings: NDArray[np.float16],
    specs: Mapping[Modality, ModalitySpec],
    device: torch.device | str = "cpu",
) -> Attributions | None:
    """Say what each feature of the tables adds to the logit of each class.

    Gradients of the logits, never of probabilities, are averaged along the straight
    path from `baseline_values` to the patient [1]_, all tables moving together and the
    image staying as it is. Points are added, up to the last of `STEPS` and to
    `MAX_WORK`, until the attributions sum to what the tables add within `TOLERANCE` of
    the range of the logits; what remains is in the record.

    Parameters
    ----------
    case : CaseTensors
        Model and tables.
    embeddings : ndarray of float16, shape (n, d)
        The analysed patches.
    specs : mapping of Modality to ModalitySpec
        The model's features.
    device : torch.device or str, default: "cpu"
        Where gradients are computed; the model is brought back to the CPU.

    Returns
    -------
    Attributions or None
        None where the model looks at no table that is at hand.

    References
    ----------
    .. [1] Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks",
       ICML 2017.
    """
    names = [
        m for m in case.available if m in case.model.uses and m is not Modality.IMAGE
    ]
    if not names:
        return None
    starts = [torch.from_numpy(baseline_values(specs[m])).to(device) for m in names]
    ends = [case.omics[str(m)][0].to(device) for m in names]
    with _frozen(case.model, device):
        path = _Path(case, embeddings, names, device)
        whole = path.logits([end[None] for end in ends])[0]
        empty = path.logits([start[None] for start in starts])[0]
        spread = max(
            float(whole.max() - whole.min()),
            float((whole - empty).abs().max()),
            _SMALLEST_RANGE,
        )
        affordable = [s for s in STEPS if s * len(embeddings) <= MAX_WORK]
        for steps in affordable or STEPS[:1]:
            values, gap = _integrate(path, starts, ends, steps)
            if gap <= TOLERANCE * spread:
                break
    tables = [
        _by_feature(specs[m], value.double().cpu().numpy())
        for m, value in zip(names, values, strict=True)
    ]
    return Attributions(
        tables=tuple(tables),
        baseline=tuple(empty.double().tolist()),
        gap=gap,
        limit=TOLERANCE * spread,
        steps=steps,
    )


class _Path:
    """The logits as a function of the tables, the image staying as it is."""

    def __init__(
        self,
        case: CaseTensors,
        embeddings: NDArray[np.float16],
        names: Sequence[Modality],
        device: torch.device | str,
    ) -> None:
        self.model = case.model
        self.names = names
        self.bag = torch.from_numpy(embeddings.astype(np.float32))[None].to(device)
        self.others = {m: v.to(device) for m, v in case.omics.items()}
        self.present = case.present(case.available).to(device)
        self.classes = case.classes

    def logits(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        """Run the model on ``s`` versions of the tables, shape (s, c)."""
        count = len(rows[0])
        omics = {m: v.expand(count, -1) for m, v in self.others.items()}
        omics |= {str(m): row for m, row in zip(self.names, rows, strict=True)}
        bag = self.bag.expand(count, -1, -1)
        mask = torch.ones(bag.shape[:2], dtype=torch.bool, device=bag.device)
        present = self.present.expand(count, -1)
        result: torch.Tensor = self.model(bag, mask, omics, present).logits
        return result[:, : self.classes]

    def __call__(self, *rows: torch.Tensor) -> torch.Tensor:
        """Give the ``i``-th logit for the ``i``-th of each ``c`` rows, shape (s c,).

        The rows of one point on the path are equal, so the model, which is what takes
        time, runs once for all classes. What is returned has its value and gradient.
        """
        with torch.enable_grad():
            points = [row[:: self.classes].detach().requires_grad_() for row in rows]
            logits = self.logits(points)
            slopes = [
                torch.autograd.grad(logits[:, c].sum(), points, retain_graph=True)
                for c in range(self.classes)
            ]
            values = logits.detach().reshape(-1)
            for row, slope in zip(rows, zip(*slopes, strict=True), strict=True):
                gradient = torch.stack(slope, dim=1).reshape(row.shape)
                values = values + ((row - row.detach()) * gradient).sum(dim=1)
        return values


def _integrate(
    path: _Path,
    starts: Sequence[torch.Tensor],
    ends: Sequence[torch.Tensor],
    steps: int,
) -> tuple[tuple[torch.Tensor, ...], float]:
    """Average gradients over ``steps`` points: (c, g) by table, and the gap."""
    floats = path.bag.shape[1] * max(path.bag.shape[2], _FLOATS_PER_PATCH)
    at_once = min(max(_MAX_FLOATS // max(floats, 1), 1), steps)
    rows = [
        tuple(vector.expand(path.classes, -1) for vector in side)
        for side in (ends, starts)
    ]
    values, gaps = IntegratedGradients(path).attribute(
        rows[0],
        rows[1],
        n_steps=steps,
        internal_batch_size=at_once * path.classes,
        return_convergence_delta=True,
    )
    return values, float(gaps.abs().max())


def _by_feature(spec: ModalitySpec, values: NDArray[np.float64]) -> TableAttribution:
    """Name the columns of (c, g), those of a clinical variable as one."""
    groups: dict[str, tuple[int, ...]] = {}
    names = spec.names
    if spec.modality is Modality.CLINICAL:
        variables = spec.features["variable"].to_numpy()
        names = tuple(dict.fromkeys(map(str, variables)))
        summed = [values[:, variables == name].sum(axis=1) for name in names]
        values = np.stack(summed, axis=1)
    elif spec.groups is not None:
        groups = dict(zip(spec.groups.names, spec.groups.members, strict=True))
    return TableAttribution(
        str(spec.modality), names, values.T.astype(np.float32), groups
    )


@contextmanager
def _frozen(model: FusionModel, device: torch.device | str) -> Iterator[None]:
    """Bring a model to a device without gradients of its weights, and back."""
    before = [(p, p.requires_grad) for p in model.parameters()]
    model.to(device).requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        model.to("cpu")
        for parameter, flag in before:
            parameter.requires_grad_(flag)


__all__ = ["MAX_WORK", "STEPS", "TOLERANCE", "attribute_features"]
