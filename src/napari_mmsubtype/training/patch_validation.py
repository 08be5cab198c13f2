"""Judge an encoder in training on patches of patients it does not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_mmsubtype.training.class_losses import share_entropy
from napari_mmsubtype.training.precision import autocast

if TYPE_CHECKING:
    from napari_mmsubtype.training.config import PatchTrainingConfig
    from napari_mmsubtype.training.processes import Processes
    from napari_mmsubtype.training.stored_patches import Patches


class PatchValidation:
    """Patches that choose the best epoch.

    Parameters
    ----------
    patches : ndarray of uint8, shape (n, y, x, 3), or StoredPatches
        Of other patients than those that train.
    targets : Tensor of float32, shape (n, k, h, w)
        Shares of classes in each cell.
    """

    def __init__(self, patches: Patches, targets: Tensor) -> None:
        self.patches, self.targets = patches, targets

    @torch.no_grad()
    def loss(
        self,
        trained: nn.Module,
        weights: Tensor,
        config: PatchTrainingConfig,
        processes: Processes,
    ) -> float:
        """Compare a linear classifier of each cell with its label.

        Parameters
        ----------
        trained : torch.nn.Module
            List of modules, an encoder and its classifier first; left in evaluation
            mode.
        weights : Tensor of float32, shape (k,)
            Of the classes, as in training.
        config : PatchTrainingConfig
            Precision and number of patches at a time.
        processes : Processes
            Which share the patches.

        Returns
        -------
        float
            Mean cross-entropy over the labelled cells, neither smoothed nor focused.
        """
        parts: Any = trained.eval()
        encoder, head = parts[0], parts[1]
        sums = torch.zeros(2, dtype=torch.float64)
        count = -(-len(self.patches) // config.batch_size)
        for number in range(processes.rank, count, processes.size):
            start = number * config.batch_size
            rows = np.arange(start, min(start + config.batch_size, len(self.patches)))
            pixels = torch.from_numpy(np.ascontiguousarray(self.patches[rows]))
            with autocast(config.precision, weights.device):
                features = encoder.feature_map(encoder.normalize(pixels))
            labels = self.targets[start : start + len(rows)].to(weights.device)
            labels = labels * weights[:, None, None]
            share = labels.sum()
            logits = cell_logits(head, features.float(), labels)
            sums += torch.stack(
                [share_entropy(logits, labels, 0.0) * share, share]
            ).cpu()
        told = processes.total(sums.to(weights.device, torch.float32)).tolist()
        return float(told[0] / max(told[1], 1e-6))


def cell_logits(head: nn.Linear, features: Tensor, targets: Tensor) -> Tensor:
    """Classify each cell that has a label of its own.

    Parameters
    ----------
    head : torch.nn.Linear
        From features to classes.
    features : Tensor of float32, shape (n, d, y, x)
        Map of the encoder.
    targets : Tensor of float32, shape (n, k, h, w)
        Whose cells are looked at; one for a whole patch.

    Returns
    -------
    Tensor of float32, shape (n, k, h, w)
        Logits.
    """
    size = (targets.shape[2], targets.shape[3])
    cells = nn.functional.adaptive_avg_pool2d(features, size)
    logits = torch.einsum("kd,ndyx->nkyx", head.weight, cells)
    return logits + head.bias[:, None, None]
