"""Cross-entropy of classes, with focus on what is called wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


def class_entropy(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    *,
    smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Tensor:
    """Compare logits with classes.

    Parameters
    ----------
    logits : Tensor of float, shape (n, k)
        Of each row; at least one.
    labels : Tensor of int64, shape (n,)
        True classes.
    weights : Tensor of float, shape (k,)
        Of the classes.
    smoothing : float, default: 0.0
        Part of the target that is spread over all classes.
    gamma : float, default: 0.0
        Each class's part counts ``(1 - probability) ** gamma``.

    Returns
    -------
    Tensor of float, shape ()
        Mean over the rows, by the weights of their classes; for ``gamma`` 0 that of
        `torch.nn.functional.cross_entropy`.

    References
    ----------
    .. [1] Lin et al., "Focal loss for dense object detection", ICCV 2017.
    """
    if gamma == 0:
        return F.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
    wanted = F.one_hot(labels, logits.shape[1]).to(logits)
    wanted = (1 - smoothing) * wanted + smoothing / logits.shape[1]
    parts = wanted * weights * focal_entropy(logits, gamma)
    return parts.sum() / weights[labels].sum()


def share_entropy(
    logits: Tensor, targets: Tensor, smoothing: float, *, gamma: float = 0.0
) -> Tensor:
    """Compare logits with shares of classes, cell by cell.

    Parameters
    ----------
    logits : Tensor of float, shape (n, k, h, w)
        Of each cell.
    targets : Tensor of float, shape (n, k, h, w)
        Share of each class, times its weight; cells that sum to 0 do not count.
    smoothing : float
        Part of the target that is spread over all classes.
    gamma : float, default: 0.0
        Each class's part counts ``(1 - probability) ** gamma``.

    Returns
    -------
    Tensor of float, shape ()
        Mean cross-entropy over the cells, by their sums.
    """
    share = targets.sum(dim=1, keepdim=True)
    wanted = (1 - smoothing) * targets + smoothing * share / targets.shape[1]
    parts = wanted * focal_entropy(logits, gamma)
    return parts.sum() / share.sum().clamp(min=1e-6)


def focal_entropy(logits: Tensor, gamma: float) -> Tensor:
    """Give what each class would cost if it were the true one.

    Parameters
    ----------
    logits : Tensor of float, shape (n, k, ...)
        Classes along the second axis.
    gamma : float
        Focus; 0 for none.

    Returns
    -------
    Tensor of float, shape (n, k, ...)
        ``-(1 - p) ** gamma * log(p)`` of each probability p.
    """
    log_p = logits.log_softmax(dim=1)
    if gamma == 0:
        return -log_p
    # 1 - p as -expm1(log p) keeps its digits; its power has no gradient at 0 below 1.
    rest = (-log_p.expm1()).clamp(min=1e-12)
    return -(rest**gamma) * log_p
