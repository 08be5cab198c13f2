from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.training import make_encoder, two_colors
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_validation import PatchValidation, cell_logits
from napari_mmsubtype.training.processes import Processes


def modules(seed: int = 0) -> torch.nn.ModuleList:
    torch.manual_seed(seed)
    return torch.nn.ModuleList([make_encoder(), torch.nn.Linear(5, 2)])


@pytest.mark.parametrize("batch_size", [3, 64])
def test_the_loss_is_the_plain_weighted_cross_entropy(batch_size: int) -> None:
    patches, targets = two_colors(10, seed=2)
    targets[4] = 0  # without a label
    trained, weights = modules().eval(), torch.tensor([0.5, 2.0])
    with torch.no_grad():
        pixels = trained[0].normalize(torch.from_numpy(patches))
        cells = trained[0].feature_map(pixels).permute(0, 2, 3, 1)
        log_p = torch.log_softmax(trained[1](cells), dim=3).numpy()
    share = targets.transpose(0, 2, 3, 1) * weights.numpy()
    expected = -(share * log_p).sum() / share.sum()
    config = PatchTrainingConfig(
        batch_size=batch_size, label_smoothing=0.3, focal_gamma=2.0
    )
    judge = PatchValidation(patches, torch.from_numpy(targets))
    found = judge.loss(trained.train(), weights, config, Processes())
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert not trained[0].training


def test_several_processes_share_the_patches_and_have_one_loss() -> None:
    patches, targets = two_colors(10, seed=2)
    judge = PatchValidation(patches, torch.from_numpy(targets))
    config = PatchTrainingConfig(batch_size=3)

    class One(Processes):
        """One of two, that notes its part and gives the sum of both."""

        def __init__(self, rank: int) -> None:
            super().__init__()
            self.rank, self.size = rank, 2

        def total(self, values: torch.Tensor) -> torch.Tensor:
            parts.append(values)
            return values

    parts: list[torch.Tensor] = []
    for rank in (0, 1):
        judge.loss(modules(), torch.ones(2), config, One(rank))
    together = torch.stack(parts).sum(dim=0)
    whole = judge.loss(modules(), torch.ones(2), config, Processes())
    assert float(together[0] / together[1]) == pytest.approx(whole, rel=1e-6)
    assert together[1] == 40  # labelled cells


def test_a_patch_with_one_label_is_judged_by_its_mean_feature() -> None:
    head, features = torch.nn.Linear(5, 2), torch.rand(3, 5, 4, 4)
    found = cell_logits(head, features, torch.zeros(3, 2, 1, 1))
    expected = head(features.mean(dim=(2, 3)))
    np.testing.assert_allclose(
        found[:, :, 0, 0].detach(), expected.detach(), rtol=1e-5, atol=1e-6
    )
