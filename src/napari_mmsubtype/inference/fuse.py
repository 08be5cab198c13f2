"""Join the patches with the tables: the call, the same call without each modality."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality, ordered, subset_key, subsets
from napari_mmsubtype.core.records import Call
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference.head_answers import answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.answers import Answer
    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.models.fusion import FusionModel, FusionOutput
    from napari_mmsubtype.models.heads import Heads


@dataclass(frozen=True, slots=True, eq=False)
class FusedCase:
    """What the fused model says about one patient.

    Attributes
    ----------
    call : Call
        From every modality present that the model looks at.
    subsets : mapping of str to Call
        From every non-empty subset of these, by `cases.subset_key`.
    shapley : mapping of str to tuple of float
        Exact Shapley share of each modality in each logit.
    bias : tuple of float
        Logits with every modality missing; the shares are counted from them.
    weights : ndarray of float32, shape (n,)
        Patch weights.
    evidence : ndarray of float32, shape (n, c)
        Patch evidence.
    answers : mapping of str to Answer
        What the heads besides the first say, by name.
    """

    call: Call
    subsets: Mapping[str, Call]
    shapley: Mapping[str, tuple[float, ...]]
    bias: tuple[float, ...]
    weights: NDArray[np.float32]
    evidence: NDArray[np.float32]
    answers: Mapping[str, Answer] = field(default_factory=dict)


class CaseTensors:
    """One patient's inputs, in the shapes that fusion models take.

    Parameters
    ----------
    model : FusionModel
        The fused model, in evaluation mode, on the CPU.
    omics : mapping of Modality to ndarray of float32, shape (g,)
        Model-ready values of the tables at hand.
    heads : Heads, optional
        The questions that the logits answer; calls, evidence and maps are those of the
        first. None where all logits are classes.

    Raises
    ------
    ConfigurationError
        If the model looks at nothing that is at hand.

    Attributes
    ----------
    available : tuple of Modality
        What is at hand and looked at by the model: calls are made from nothing else.
    """

    def __init__(
        self,
        model: FusionModel,
        omics: Mapping[Modality, NDArray[np.float32]],
        heads: Heads | None = None,
    ) -> None:
        self.model = model
        self.heads = heads
        self.classes = model.classes if heads is None else heads.classes.size
        self.omics = {
            str(m): torch.from_numpy(np.asarray(values, np.float32))[None]
            for m, values in omics.items()
        }
        given = ordered((Modality.IMAGE, *omics))
        self.available = tuple(m for m in given if m in model.uses)
        if not self.available:
            msg = (
                f"the model looks at {', '.join(model.uses)} alone, found "
                f"{', '.join(given)}: give that table (for example "
                f"--{model.uses[0]} table.csv), or choose another model"
            )
            raise ConfigurationError(msg)

    def present(self, subset: Sequence[Modality]) -> torch.Tensor:
        """Mark which of the model's modalities a subset holds.

        Parameters
        ----------
        subset : sequence of Modality
            The modalities to use.

        Returns
        -------
        Tensor of bool, shape (1, m)
            In the model's order.
        """
        return torch.tensor([[m in subset for m in self.model.modalities]])

    def queries(self) -> torch.Tensor | None:
        """Give the class queries of a head that is linear in the embedding.

        Returns
        -------
        Tensor of float32, shape (c, d), or None
            None where the model's evidence is not exact.
        """
        if not self.model.exact_cam:
            return None
        with torch.no_grad():
            present = self.present(self.available)
            return self.model.pixel_queries(self.omics, present)[0, : self.classes]

    def forward(self, bag: torch.Tensor, subset: Sequence[Modality]) -> FusionOutput:
        """Run the model on a subset of the modalities.

        Parameters
        ----------
        bag : Tensor of float32, shape (1, n, d)
            Patch embeddings.
        subset : sequence of Modality
            The modalities to use.

        Returns
        -------
        FusionOutput
            For a batch of one; logits and evidence of all heads.
        """
        mask = torch.ones(bag.shape[:2], dtype=torch.bool)
        output: FusionOutput = self.model(bag, mask, self.omics, self.present(subset))
        return output


def fuse(
    case: CaseTensors,
    embeddings: NDArray[np.float16],
    calibration: Calibration,
) -> FusedCase:
    """Classify one patient from every subset of the modalities at hand.

    Parameters
    ----------
    case : CaseTensors
        Model and tables.
    embeddings : ndarray of float16, shape (n, d)
        The analysed patches, at least one.
    calibration : Calibration
        Turns the logits from each subset into probabilities.

    Returns
    -------
    FusedCase
        Calls, shares, patch weights and evidence.
    """
    bag = torch.from_numpy(embeddings.astype(np.float32))[None]
    calls: dict[str, Call] = {}
    logits: dict[str, NDArray[np.float64]] = {}
    others: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        whole = case.forward(bag, case.available)
        for subset in subsets(case.available):
            output = case.forward(bag, subset)
            row = output.logits[0, : case.classes].double()
            key = subset_key(subset)
            others[key] = output.logits.double()
            logits[key] = row.numpy()
            calls[key] = Call(
                modalities=tuple(str(m) for m in subset),
                logits=tuple(row.tolist()),
                probabilities=tuple(
                    calibration.probabilities(key, logits[key]).tolist()
                ),
            )
        bias = case.forward(bag, ()).logits[0, : case.classes].double()
    shares = shapley_shares(case.available, logits, bias.numpy())
    return FusedCase(
        call=calls[subset_key(case.available)],
        subsets=calls,
        shapley={str(m): tuple(v.tolist()) for m, v in shares.items()},
        bias=tuple(bias.tolist()),
        weights=whole.weights[0].numpy(),
        evidence=whole.evidence[0, :, : case.classes].numpy(),
        answers={} if case.heads is None else answers(case.heads, others),
    )


def shapley_shares(
    members: Sequence[Modality],
    values: Mapping[str, NDArray[np.float64]],
    empty: NDArray[np.float64],
) -> dict[Modality, NDArray[np.float64]]:
    """Share a value among the modalities, exactly.

    Parameters
    ----------
    members : sequence of Modality
        The players.
    values : mapping of str to ndarray of float64, shape (c,)
        Value of every non-empty subset, by `cases.subset_key`.
    empty : ndarray of float64, shape (c,)
        Value of the empty set.

    Returns
    -------
    dict of Modality to ndarray of float64, shape (c,)
        Shares; they sum to the value of the whole set less that of the empty one.

    References
    ----------
    .. [1] Shapley, "A value for n-person games", 1953.
    """
    count = len(members)

    def _value(subset: Sequence[Modality]) -> NDArray[np.float64]:
        return values[subset_key(subset)] if subset else empty

    shares = {}
    for member in members:
        others = [m for m in members if m != member]
        share = np.zeros_like(empty)
        for subset in [(), *(subsets(others) if others else [])]:
            size = len(subset)
            weight = (
                math.factorial(size)
                * math.factorial(count - size - 1)
                / math.factorial(count)
            )
            share += weight * (_value((*subset, member)) - _value(subset))
        shares[member] = share
    return shares


def patch_gradients(
    case: CaseTensors, embeddings: NDArray[np.float16]
) -> NDArray[np.float32]:
    """Differentiate the logit of each class with respect to each patch's embedding.

    Parameters
    ----------
    case : CaseTensors
        Model and tables; every modality at hand is used.
    embeddings : ndarray of float16, shape (n, d)
        The analysed patches.

    Returns
    -------
    ndarray of float32, shape (n, c, d)
        Taken at the logits, never after a softmax, where they would vanish.
    """
    bag = torch.from_numpy(embeddings.astype(np.float32))[None].requires_grad_()
    logits = case.forward(bag, case.available).logits[0, : case.classes]
    rows = [
        torch.autograd.grad(logit, bag, retain_graph=True)[0][0] for logit in logits
    ]
    return torch.stack(rows, dim=1).numpy()
