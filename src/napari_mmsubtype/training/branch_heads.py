"""Heads on the branches of an encoder, which only its training needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.lean_torchvision import import_torchvision
from napari_mmsubtype.models.tama import AlignmentLoss
from napari_mmsubtype.training.class_losses import share_entropy

if TYPE_CHECKING:
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.resvit import ResViTEncoder, ResViTFeatures
    from napari_mmsubtype.training.config import PatchTrainingConfig


class BranchHeads(nn.Module):
    """A linear head on each branch of ResViT, and the disagreement of the branches.

    The heads keep either branch from leaving all the work to the other.

    Parameters
    ----------
    encoder : ResViTEncoder
        Whose branches they judge.
    classes : int
        Number of classes.
    """

    def __init__(self, encoder: ResViTEncoder, classes: int) -> None:
        super().__init__()
        body: Any = encoder.body
        # Its weights are trained already, as those of the encoder.
        self._features = encoder.branches
        self.cnn = nn.Linear(body.cnn_dim, classes)
        self.vit = nn.Linear(body.vit_dim, classes)
        self.alignment = AlignmentLoss(encoder.dim)

    def features(self, images: Tensor) -> ResViTFeatures:
        """Run the encoder once for the joint map and for the branches.

        Parameters
        ----------
        images : Tensor of float, shape (n, 3, y, x)
            Normalized images.

        Returns
        -------
        ResViTFeatures
            Of the encoder.
        """
        return self._features(images)

    def loss(
        self,
        found: ResViTFeatures,
        targets: Tensor,
        config: PatchTrainingConfig,
        *,
        labels_share: float | Tensor = 1.0,
        rows_share: float = 1.0,
    ) -> Tensor:
        """Judge the branches.

        Parameters
        ----------
        found : ResViTFeatures
            Of a batch.
        targets : Tensor of float, shape (n, k, h, w)
            Shares of classes in each cell, times their weights.
        config : PatchTrainingConfig
            Weights of both losses, label smoothing and focus.
        labels_share, rows_share : float, default: 1.0
            Of the labels and rows of a batch, where these are only a part of it.

        Returns
        -------
        Tensor of float, shape ()
            To be added to the loss of the encoder.
        """
        # A branch's pooled features see the whole patch, whatever its cells are.
        whole = targets.mean(dim=(2, 3), keepdim=True)
        tokens = replace(
            found.tokens, cnn=found.tokens.cnn.float(), vit=found.tokens.vit.float()
        )
        disagreement: Tensor = self.alignment(tokens)
        loss = rows_share * config.alignment_weight * disagreement
        for head, pooled in (
            (self.cnn, found.cnn_pooled),
            (self.vit, found.class_token),
        ):
            logits = head(pooled.float())[:, :, None, None]
            entropy = share_entropy(
                logits, whole, config.label_smoothing, gamma=config.focal_gamma
            )
            loss = loss + labels_share * config.branch_weight * entropy
        return loss


def make_branch_heads(
    encoder: Encoder, classes: int, config: PatchTrainingConfig
) -> BranchHeads | None:
    """Make the heads that a training asks for.

    Parameters
    ----------
    encoder : Encoder
        To be trained.
    classes : int
        Number of classes.
    config : PatchTrainingConfig
        Whose ``branch_weight`` and ``alignment_weight`` ask for them.

    Returns
    -------
    BranchHeads or None
        None where both weights are 0.

    Raises
    ------
    ConfigurationError
        If the encoder has no branches.
    """
    if not (config.branch_weight or config.alignment_weight):
        return None
    import_torchvision()
    from napari_mmsubtype.models.resvit import ResViTEncoder

    if not isinstance(encoder, ResViTEncoder):
        msg = (
            f"branch_weight {config.branch_weight:g} and alignment_weight "
            f"{config.alignment_weight:g} are for encoders with branches (resvit), "
            f"found {encoder.name!r}; set both to 0"
        )
        raise ConfigurationError(msg)
    return BranchHeads(encoder, classes)
