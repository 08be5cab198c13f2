"""Take up a finished analysis again: its model, its patient, its patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError, StoreError
from napari_mmsubtype.inference.fuse import CaseTensors, patch_gradients
from napari_mmsubtype.inference.patient_tables import align_tables_job
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.results.schema import PatchStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.models.bundle import Bundle
    from napari_mmsubtype.results.store import Result

_TOLERANCE = 1e-3
"""Of logits computed again from embeddings that were kept; they come within 1e-5."""


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedCase:
    """What an analysis knew when it made its call.

    Attributes
    ----------
    result : Result
        The analysis.
    bundle : Bundle
        Its model.
    case : CaseTensors
        The fused model with the patient's tables.
    used : ndarray of bool, shape (n,)
        Patches that the call was made from.
    embeddings : ndarray of float16, shape (k, d)
        Of these.
    """

    result: Result
    bundle: Bundle
    case: CaseTensors
    used: NDArray[np.bool_]
    embeddings: NDArray[np.float16]

    @property
    def exact(self) -> bool:
        """Whether the model's evidence adds up."""
        return self.case.model.exact_cam

    def gradients(self) -> NDArray[np.float32]:
        """Differentiate the logits with respect to every patch of the grid.

        Returns
        -------
        ndarray of float32, shape (n, c, d)
            0 for patches that are not used.
        """
        shape = (len(self.used), len(self.bundle.classes), self.bundle.encoder.dim)
        gradients = np.zeros(shape, np.float32)
        gradients[self.used] = patch_gradients(self.case, self.embeddings)
        return gradients


def replay_case_job(result: Result) -> Job[ReplayedCase]:
    """Load the model and the tables of an analysis, and check that they are the same.

    Parameters
    ----------
    result : Result
        A finished analysis.

    Yields
    ------
    Progress
        Stages ``open`` and ``tables``.

    Returns
    -------
    ReplayedCase
        Gives the stored logits again.

    Raises
    ------
    StoreError
        If the analysis was interrupted.
    ConfigurationError
        If model or tables have changed since.
    """
    prediction = result.prediction
    if prediction is None:
        msg = (
            f"{str(result.path)!r} is incomplete: run the same request again to "
            "resume it, then ask for more"
        )
        raise StoreError(msg)
    yield Progress("open", message=f"opening model {result.bundle_name}")
    bundle = load_bundle(result.recipe.bundle)
    facts = result.bundle_facts
    if bundle.digest != facts["digest"]:
        msg = (
            f"the analysis was made with {facts['name']} {facts.get('version', '')}, "
            f"but {result.recipe.bundle!r} now holds another model ({bundle.name} "
            f"{bundle.version}); bring that one back, or analyse anew"
        )
        raise ConfigurationError(msg)
    aligned = yield from align_tables_job(result.recipe, bundle)
    omics = {m: a.values for m, a in aligned.items() if a.values is not None}
    case = CaseTensors(bundle.fusion.eval(), omics, bundle.heads)
    used = result.patch_status == PatchStatus.DONE
    embeddings = result.embeddings[used]
    bag = torch.from_numpy(embeddings.astype(np.float32))[None]
    with torch.inference_mode():
        logits = case.forward(bag, case.available).logits[0, : case.classes]
    before = np.asarray(prediction.call.logits)
    gap = float(np.abs(logits.double().numpy() - before).max())
    if gap > _TOLERANCE * (1 + float(np.abs(before).max())):
        tables = ", ".join(str(p) for p in result.recipe.tables.values()) or "tables"
        msg = (
            f"the logits of {result.slide_name!r} come out {gap:.2g} off those in the "
            f"store: {tables} changed since the analysis; bring the old ones back, or "
            "analyse anew"
        )
        raise ConfigurationError(msg)
    return ReplayedCase(result, bundle, case, used, embeddings)
