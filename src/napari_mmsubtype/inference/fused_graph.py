"""Run convolutions together with what follows them, as one step each."""

from __future__ import annotations

import itertools
import logging
import operator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import fx, nn

from napari_mmsubtype.inference.derived_encoder import DerivedEncoder
from napari_mmsubtype.inference.max_pool import SeparableMaxPool, find_max_pool

if TYPE_CHECKING:
    from torch import Tensor

    from napari_mmsubtype.models.encoders import Encoder

logger = logging.getLogger(__name__)

_OPERATION = "_convolution_pointwise"
"""Private to PyTorch: another version may name it, or what it takes, differently."""
_PACKING = "_reorder_convolution_weight"

_SUMS = (operator.add, operator.iadd, torch.add)
_RELUS = (torch.relu, nn.functional.relu)


class FusedEncoder(DerivedEncoder):
    """An encoder whose convolutions clip, and add a shortcut, as they go.

    It shares its weights with the encoder it was made from.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on the CPU, as prepared for its precision.
    graph : torch.fx.GraphModule
        What computes its feature map.
    steps : type
        Of the modules in it that make it faster.

    Attributes
    ----------
    steps : int
        How many of them there are.
    """

    def __init__(
        self, encoder: Encoder, graph: fx.GraphModule, steps: type[nn.Module]
    ) -> None:
        super().__init__(encoder, graph)
        self.steps = sum(isinstance(m, steps) for m in graph.modules())
        self._first = _first_steps(graph)

    def normalize(self, patches: Tensor) -> Tensor:
        """Turn pixels into what the network takes.

        Parameters
        ----------
        patches : Tensor of uint8, shape (n, y, x, 3)
            Red, green and blue, 0 to 255.

        Returns
        -------
        Tensor, shape (n, 3, y, x)
            As the plain encoder does it, rounded to what the first convolution takes.
        """
        kinds = {step.conv.weight.dtype for step in self._first}
        rounds = len(kinds) == 1 and torch.float32 not in kinds
        if not rounds or patches.ndim != 4 or not len(patches):
            return self.plain.normalize(patches)
        # Patch by patch: what lies between the two is still in the cache.
        made = (self.plain.normalize(patch[None])[0] for patch in patches)
        first = next(made)
        images = torch.empty(
            (len(patches), *first.shape),
            dtype=kinds.pop(),
            memory_format=torch.channels_last,
        )
        for image, one in zip(images, itertools.chain([first], made), strict=True):
            image.copy_(one)
        return images

    @property
    def graph(self) -> fx.GraphModule:
        """What it does, step by step."""
        return cast("fx.GraphModule", self.body)


class FusedConv(nn.Module):
    """A convolution that may add another map and set what is negative to zero.

    The maps in between are neither written to memory nor rounded to the lower
    precision. It uses the operations that ``torch.compile`` calls for the same end, and
    keeps its weights in the order that they want, which the first map decides.

    Parameters
    ----------
    conv : torch.nn.Conv2d
        Its weights must not change once this has run.
    clips : bool
        Whether what is negative becomes zero in the end.
    """

    def __init__(self, conv: nn.Conv2d, *, clips: bool) -> None:
        super().__init__()
        self.conv, self.clips = conv, clips
        self._after = "relu" if clips else None
        self._packed: Tensor | None = None
        self._shape = (conv.padding, conv.stride, conv.dilation, conv.groups)

    def forward(self, images: Tensor, other: Tensor | None = None) -> Tensor:
        """Convolve, add and clip.

        Parameters
        ----------
        images : Tensor, shape (n, c, y, x)
            What is convolved.
        other : Tensor, shape (n, d, h, w), optional
            What is added.

        Returns
        -------
        Tensor, shape (n, d, h, w)
            In the precision of the weights.
        """
        conv = self.conv
        images = images.to(conv.weight.dtype)
        weight = self._pack(images) if self._packed is None else self._packed
        # By their full names: to look for the one that fits takes time, too.
        step: Any = getattr(torch.ops.mkldnn, _OPERATION)
        if other is None:
            after = self._after or "none"
            found = step.default(images, weight, conv.bias, *self._shape, after, [], "")
        else:
            other = other.to(images.dtype).contiguous(memory_format=torch.channels_last)
            rest: tuple[Any, ...] = (*self._shape, "add", 1.0, self._after, [], None)
            found = step.binary(images, other, weight, conv.bias, *rest)
        result: Tensor = found
        return result

    def _pack(self, images: Tensor) -> Tensor:
        """Bring the weights into the order for maps like these, for good."""
        pack: Any = getattr(torch.ops.mkldnn, _PACKING)
        weight = self.conv.weight.detach()
        packed: Tensor = pack(weight, *self._shape, list(images.shape))
        self._packed = packed
        return packed


def can_fuse() -> bool:
    """Tell whether this build of PyTorch has the operations.

    Returns
    -------
    bool
        False without oneDNN, or where a version calls them by other names.
    """
    step = getattr(torch.ops.mkldnn, _OPERATION, None)
    return (
        bool(torch._C._has_mkldnn)
        and step is not None
        and {"default", "binary"} <= set(step.overloads())
        and hasattr(torch.ops.mkldnn, _PACKING)
    )


def fuse_encoder(encoder: Encoder) -> FusedEncoder | None:
    """Follow what an encoder does and make one step of what can be one.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on the CPU, as prepared for its precision; left as it is.

    Returns
    -------
    FusedEncoder or None
        To be compared with the encoder before it is used; None where nothing can be
        fused, or what the network does depends on what it is given.
    """
    if not can_fuse():
        logger.info(
            "encoder %s runs without fused steps: PyTorch %s has no mkldnn.%s; the "
            "result is as usual, it may take a little longer",
            encoder.name,
            torch.__version__,
            _OPERATION,
        )
        return None
    try:
        graph = fx.symbolic_trace(_FeatureMap(encoder))
    except Exception as err:  # noqa: BLE001 - any code may fail on a stand-in for images
        logger.debug("encoder %s cannot be followed: %s", encoder.name, err)
        return None
    for node in list(graph.graph.nodes):
        if type(_module(graph, node)) is nn.Identity:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    longest = 1
    for node in list(graph.graph.nodes):
        # What an earlier convolution took is no longer there.
        if chain := _follow(graph, node):
            _fuse(graph, chain)
            longest = max(longest, len(chain))
    if longest == 1:
        return None
    for node in list(graph.graph.nodes):
        pool = find_max_pool(_module(graph, node))
        if pool is not None and _is_clipped(graph, node.all_input_nodes[0]):
            node.target = f"fused_{node.name}"
            graph.add_submodule(node.target, SeparableMaxPool(pool))
    graph.delete_all_unused_submodules()
    graph.recompile()
    return FusedEncoder(encoder, graph, FusedConv)


class _FeatureMap(nn.Module):
    """What is followed: from normalized images to the last map."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder.feature_map(images)


def _first_steps(graph: fx.GraphModule) -> list[FusedConv]:
    """List what takes the images, if all of it is convolutions that round them."""
    images = next(node for node in graph.graph.nodes if node.op == "placeholder")
    steps = [_module(graph, user) for user in images.users]
    found = [step for step in steps if isinstance(step, FusedConv)]
    return found if len(found) == len(steps) else []


def _follow(graph: fx.GraphModule, node: fx.Node) -> list[fx.Node]:
    """List a convolution with the sum and the clipping that alone use its map."""
    conv = _module(graph, node)
    if type(conv) is not nn.Conv2d or not is_plain(conv) or node.kwargs:
        return []
    chain = [node]
    user = _only_user(node)
    if user is not None and user.op == "call_function" and user.target in _SUMS:
        if not _added(user, node) or user.kwargs:
            return chain
        chain.append(user)
        user = _only_user(user)
    return [*chain, user] if user is not None and _clips(graph, user) else chain


def _fuse(graph: fx.GraphModule, chain: list[fx.Node]) -> None:
    """Make one step of a convolution and what follows it.

    One that nothing follows gains by weights that are in order already.
    """
    conv, *after = chain
    clips = bool(after) and _clips(graph, after[-1])
    module = cast("nn.Conv2d", _module(graph, conv))
    name = f"fused_{conv.name}"
    others = _added(after[0], conv) if after and after[0].target in _SUMS else []
    graph.add_submodule(name, FusedConv(module, clips=clips))
    with graph.graph.inserting_before(chain[-1]):
        step = graph.graph.call_module(name, (conv.args[0], *others))
    chain[-1].replace_all_uses_with(step)
    for done in reversed(chain):
        graph.graph.erase_node(done)


def _added(total: fx.Node, node: fx.Node) -> list[fx.Node]:
    """Give the one other map of a sum of two; nothing where it is another sum."""
    terms = [term for term in total.args if term is not node]
    return [t for t in terms if isinstance(t, fx.Node)] if len(terms) == 1 else []


def _module(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Give the module that a step calls, if it calls one."""
    if node.op != "call_module":
        return None
    return graph.get_submodule(str(node.target))


def _only_user(node: fx.Node) -> fx.Node | None:
    """Give the step that alone uses what another one gives."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def _clips(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Tell whether a step sets what is negative to zero, and nothing else."""
    return type(_module(graph, node)) is nn.ReLU or (
        node.op == "call_function" and node.target in _RELUS
    )


def _is_clipped(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Tell a map that is nowhere negative because the step that made it clips."""
    made = _module(graph, node)
    return made.clips if isinstance(made, FusedConv) else _clips(graph, node)


def is_plain(conv: nn.Conv2d) -> bool:
    """Tell a convolution that oneDNN does as PyTorch.

    Parameters
    ----------
    conv : torch.nn.Conv2d
        Any.

    Returns
    -------
    bool
        Whether its border is zero and its sides are numbers.
    """
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


__all__ = ["FusedConv", "FusedEncoder", "can_fuse", "fuse_encoder", "is_plain"]
