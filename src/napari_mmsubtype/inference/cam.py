"""Class activation maps of the last feature map: raw and signed.

``A`` are the features of a patch, ``G`` the gradients of a logit with respect to them,
both of ``d`` channels and ``h w`` cells. No map is cut at zero or stretched to 0..1:
maps of different patches stay comparable, and evidence against a class is seen too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_mmsubtype.core.cam_methods import CAM_METHODS, DEFAULT, checked_cam

_Method: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def class_activation(features: Tensor, weights: Tensor) -> Tensor:
    """Map the logits of a linear head on the mean cell: CAM, exact.

    Parameters
    ----------
    features : Tensor of float, shape (n, d, y, x)
        Feature maps ``A``.
    weights : Tensor of float, shape (c, d) or (n, c, d)
        Weights of the head, of all patches or of each.

    Returns
    -------
    Tensor of float, shape (n, c, y, x)
        ``w . A(y, x) / (h w)``; sums over the cells to the logit less its offset.
    """
    pattern = "ncd,ndyx->ncyx" if weights.dim() == 3 else "cd,ndyx->ncyx"
    cells = features.shape[2] * features.shape[3]
    return torch.einsum(pattern, weights, features) / cells


def grad_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each channel by its mean gradient.

    On a head that sees the mean cell only, this is `hires_cam`, and with a linear one
    `class_activation`.

    Parameters
    ----------
    features : Tensor of float, shape (n, d, y, x)
        Feature maps ``A``.
    gradients : Tensor of float, shape (n, d, y, x) or (n, d, 1, 1)
        Gradients ``G`` of one logit.

    Returns
    -------
    Tensor of float, shape (n, y, x)
        ``sum_k mean(G_k) A_k``.

    References
    ----------
    .. [1] Selvaraju et al., "Grad-CAM", ICCV 2017.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1)


def grad_cam_plus_plus(features: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each channel by the cells whose gradient is positive.

    Parameters
    ----------
    features : Tensor of float, shape (n, d, y, x)
        Feature maps ``A``.
    gradients : Tensor of float, shape (n, d, y, x) or (n, d, 1, 1)
        Gradients ``G`` of one logit.

    Returns
    -------
    Tensor of float, shape (n, y, x)
        ``sum_k w_k A_k`` with ``w_k`` the sum over the cells of ``a relu(G)`` and
        ``a = G^2 / (2 G^2 + G^3 sum(A_k))``; not in logits. Where features can be
        negative, ``a`` can be so, too, and grow without bound.

    References
    ----------
    .. [1] Chattopadhyay et al., "Grad-CAM++", WACV 2018.
    """
    # G^2 is divided out: gradients of one patch of thousands are so small that their
    # squares would vanish beside any constant that guards the division.
    below = 2 + features.sum(dim=(2, 3), keepdim=True) * gradients
    share = F.relu(gradients) / below.masked_fill(below == 0, 1.0)
    # Spread out, so that one gradient for all cells counts once per cell.
    weights = share.expand_as(features).sum((2, 3), keepdim=True)
    return (weights * features).sum(dim=1)


def hires_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each cell of each channel by its own gradient.

    Parameters
    ----------
    features : Tensor of float, shape (n, d, y, x)
        Feature maps ``A``.
    gradients : Tensor of float, shape (n, d, y, x) or (n, d, 1, 1)
        Gradients ``G`` of one logit.

    Returns
    -------
    Tensor of float, shape (n, y, x)
        ``sum_k G_k A_k``; on a head that is linear in the cells it sums to the logit
        less its offset.

    References
    ----------
    .. [1] Draelos and Carin, "Use HiResCAM instead of Grad-CAM", arXiv 2011.08891.
    """
    return (gradients * features).sum(dim=1)


def layer_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each cell of each channel by its gradient where that is positive.

    Parameters
    ----------
    features : Tensor of float, shape (n, d, y, x)
        Feature maps ``A``.
    gradients : Tensor of float, shape (n, d, y, x) or (n, d, 1, 1)
        Gradients ``G`` of one logit.

    Returns
    -------
    Tensor of float, shape (n, y, x)
        ``sum_k relu(G_k) A_k``.

    References
    ----------
    .. [1] Jiang et al., "LayerCAM", IEEE TIP 2021.
    """
    return (F.relu(gradients) * features).sum(dim=1)


_METHODS: dict[str, _Method] = {
    "grad-cam": grad_cam,
    "grad-cam++": grad_cam_plus_plus,
    "hires-cam": hires_cam,
    "layer-cam": layer_cam,
}


def map_embedding(features: Tensor, gradients: Tensor, method: str = DEFAULT) -> Tensor:
    """Map logits onto patches whose mean cell is all that the head sees.

    Parameters
    ----------
    features : Tensor of float, shape (n, d, y, x)
        Feature maps.
    gradients : Tensor of float, shape (n, c, d)
        Gradient of each logit with respect to the mean cell of each patch.
    method : str, default: "grad-cam"
        One of `cam_methods.CAM_METHODS`.

    Returns
    -------
    Tensor of float, shape (n, c, y, x)
        Raw and signed.
    """
    method = checked_cam(method, CAM_METHODS)
    if _METHODS[method] in (grad_cam, hires_cam):
        return class_activation(features, gradients)  # the same, in one product
    cells = features.shape[2] * features.shape[3]
    spread = (gradients / cells)[..., None, None]
    maps = [_METHODS[method](features, spread[:, c]) for c in range(spread.shape[1])]
    return torch.stack(maps, dim=1)


def map_logits(
    head: Callable[[Tensor], Tensor], features: Tensor, method: str = "hires-cam"
) -> Tensor:
    """Map the logits of any head onto the feature maps that it sees.

    Parameters
    ----------
    head : callable
        Turns feature maps (n, d, y, x) into logits (n, c), patch by patch.
    features : Tensor of float, shape (n, d, y, x)
        From `Encoder.feature_map`.
    method : str, default: "hires-cam"
        One of `cam_methods.CAM_METHODS`.

    Returns
    -------
    Tensor of float, shape (n, c, y, x)
        Raw and signed; gradients are those of logits, never of probabilities.
    """
    method = checked_cam(method, CAM_METHODS)
    with torch.enable_grad():
        leaf = features.detach().requires_grad_()
        logits = head(leaf)
        gradients = [
            torch.autograd.grad(logits[:, c].sum(), leaf, retain_graph=True)[0]
            for c in range(logits.shape[1])
        ]
    maps = [_METHODS[method](leaf.detach(), gradient) for gradient in gradients]
    return torch.stack(maps, dim=1)
