"""Attribute the logits to the features of the tables: integrated gradients."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.attributions import Attributions, TableAttribution
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.inference.batch_limit import is_out_of_memory, release_memory
from napari_mmsubtype.inference.device_loss import watch_device
from napari_mmsubtype.inference.table_path import POINTS, TablePath
from napari_mmsubtype.omics.baseline import baseline_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.fuse import CaseTensors
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

logger = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""Allowed gap, as a share of the range of the logits."""
MAX_POINTS = 192
MAX_PATCHES = 2048
"""Where `POINTS` do not suffice and patches and tables attend to each other, so that
each point needs all patches anew, what more points change is taken from larger bags
thinned evenly to this many."""
_SMALLEST_RANGE = 1e-2


def attribute_features(
    case: CaseTensors,
    embeddings: NDArray[np.float16],
    specs: Mapping[Modality, ModalitySpec],
    device: torch.device | str = "cpu",
) -> Attributions | None:
    """Say what each feature of the tables adds to the logit of each class.

    Gradients of the logits, never of probabilities, are averaged along the straight
    path from `baseline_values` to the patient [1]_, all tables moving together and the
    image staying as it is. The path is divided where attributions do not sum to what
    the tables add, until they do within `TOLERANCE` of the range of the logits or
    `MAX_POINTS` are taken; what remains is in the record.

    Parameters
    ----------
    case : CaseTensors
        Model and tables.
    embeddings : ndarray of float16, shape (n, d)
        The analysed patches.
    specs : mapping of Modality to ModalitySpec
        The model's features.
    device : torch.device or str, default: "cpu"
        Where gradients are computed, or begun: where its memory runs out, the CPU
        computes them. The model is brought back to the CPU.

    Returns
    -------
    Attributions or None
        None where the model looks at no table that is at hand.

    Raises
    ------
    DeviceLostError
        If the device stopped answering.

    References
    ----------
    .. [1] Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks",
       ICML 2017.
    """
    place = torch.device(device)
    try:
        with watch_device(place):
            return _attribute(case, embeddings, specs, place)
    except Exception as err:
        if place.type == "cpu" or not is_out_of_memory(err):
            raise
    # Only now is what the error held on to free.
    logger.warning("memory of %s ran out: the CPU attributes to features", place)
    release_memory(place)
    return _attribute(case, embeddings, specs, torch.device("cpu"))


def _attribute(
    case: CaseTensors,
    embeddings: NDArray[np.float16],
    specs: Mapping[Modality, ModalitySpec],
    device: torch.device,
) -> Attributions | None:
    """Do so on one device."""
    names = [m for m in case.available if m is not Modality.IMAGE]
    if not names:
        return None
    starts = {
        str(m): torch.from_numpy(baseline_values(specs[m])).to(device) for m in names
    }
    with _frozen(case.model, device):
        path = TablePath(case, embeddings, starts)
        whole, empty = path.at(1.0), path.at(0.0)
        change = whole - empty
        spread = max(
            float(whole.max() - whole.min()),
            float(change.abs().max()),
            _SMALLEST_RANGE,
        )
        limit, points = TOLERANCE * spread, MAX_POINTS - POINTS
        first = path.part(0.0, 1.0)
        cheap = case.model.exact_cam or case.model.image_apart
        coarse = first
        if first.gap > limit and not cheap and len(embeddings) > MAX_PATCHES:
            chosen = np.linspace(0, len(embeddings) - 1, MAX_PATCHES).round()
            path = TablePath(case, embeddings[chosen.astype(int)], starts)
            coarse = path.part(0.0, 1.0)
        parts = path.refine([coarse], limit, points)
    values = [
        (torch.stack(pieces).sum(dim=0) + (whole_bag - thinned)).double().cpu().numpy()
        for *pieces, whole_bag, thinned in zip(
            *(part.values for part in (*parts, first, coarse)), strict=True
        )
    ]
    total = np.sum([value.sum(axis=1) for value in values], axis=0)
    return Attributions(
        tables=tuple(
            _by_feature(specs[m], value) for m, value in zip(names, values, strict=True)
        ),
        baseline=tuple(empty.double().tolist()),
        # Of all patches, so that what thinning changed is told too.
        gap=float(np.abs(total - change.double().cpu().numpy()).max()),
        limit=limit,
        steps=POINTS * (2 * len(parts) - 1),
    )


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
def _frozen(model: FusionModel, device: torch.device) -> Iterator[None]:
    """Bring a model to a device without gradients of its weights, and back."""
    before = [(p, p.requires_grad) for p in model.parameters()]
    model.to(device).requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        model.to("cpu")
        for parameter, flag in before:
            parameter.requires_grad_(flag)
