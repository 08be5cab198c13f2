"""Run a convolutional network in 8-bit whole numbers."""

from __future__ import annotations

import logging
from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import fx, nn

from napari_mmsubtype.inference.batch_limit import room_for
from napari_mmsubtype.inference.fused_graph import FusedConv, FusedEncoder, fuse_encoder
from napari_mmsubtype.inference.max_pool import SeparableMaxPool, find_max_pool
from napari_mmsubtype.inference.quantized_steps import (
    Dequantize,
    Quantize,
    QuantizedConv,
    Scale,
    can_quantize,
)

if TYPE_CHECKING:
    from torch import Tensor

    from napari_mmsubtype.models.encoders import Encoder

logger = logging.getLogger(__name__)

_JOINS = (torch.cat, torch.concat)

_WAS = "step in float32"

_PIXELS_AT_ONCE = 1 << 20
"""Of the patches that tell ranges: 20 of 224 px, one of 1,024 px."""


@torch.inference_mode()
def quantize_encoder(
    encoder: Encoder, pixels: Tensor, kind: torch.dtype
) -> FusedEncoder | None:
    """Make an encoder whose convolutions multiply 8-bit whole numbers.

    Maps stay whole numbers from one convolution to the next, through sums, clipping,
    joins and pools of maxima; what else a network does is done in ``kind``. Patches
    tell the range of every map. What rounding adds to a channel on average is taken
    away again, convolution by convolution (bias correction after Nagel et al.,
    "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019,
    here from patches). The last map is not rounded to 8 bits.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on the CPU, in float32; left as it is.
    pixels : Tensor of uint8, shape (n, y, x, 3)
        Patches like those to come.
    kind : torch.dtype
        Of all that is not in whole numbers.

    Returns
    -------
    FusedEncoder or None
        To be compared with the encoder before it is used; None where the network
        cannot be followed, has no convolution, or one that can only be in float32.

    Raises
    ------
    OutOfMemoryError
        If not even a few patches fit into memory.
    """
    fused = fuse_encoder(encoder) if can_quantize() else None
    if fused is None:
        return None
    rows, columns = pixels.shape[1:3]
    parts = torch.split(pixels, max(1, _PIXELS_AT_ONCE // (rows * columns)))
    # Those that correct what rounding adds come last, their means are kept.
    middle = len(parts) // 2
    parts = (*parts[:middle], *parts[middle + 1 :], parts[middle])
    watch = _Watch(fused.graph)
    try:
        with room_for(pixels.device, f"{encoder.name} in float32"):
            for part in parts:
                images = encoder.normalize(part)
                images = images.contiguous(memory_format=torch.channels_last)
                watch.run(images)
            graph = _Rewriting(fused.graph, watch.ranges, kind).rewrite()
            _Correct(graph, watch.means).run(images)
    except (AttributeError, RuntimeError, TypeError) as err:
        # As for fused steps: for example a sum of maps of two sizes.
        logger.info("encoder %s cannot run in int8: %s", encoder.name, err)
        return None
    return FusedEncoder(encoder, graph, QuantizedConv)


def _conv(graph: nn.Module, node: fx.Node) -> nn.Conv2d | FusedConv | None:
    """Give the convolution that a step is."""
    if node.op != "call_module" or node.kwargs:
        return None
    found = graph.get_submodule(str(node.target))
    if isinstance(found, FusedConv):
        return found
    if type(found) is not nn.Conv2d or found.padding_mode != "zeros":
        return None
    return None if isinstance(found.padding, str) else found


def _maps(node: fx.Node) -> tuple[fx.Node, ...]:
    """Give what a convolution takes: a map, and perhaps one that is added."""
    return cast("tuple[fx.Node, ...]", node.args)


def _pool(graph: fx.GraphModule, node: fx.Node) -> nn.MaxPool2d | None:
    """Give the pool of maxima that a step is."""
    if node.op != "call_module":
        return None
    return find_max_pool(graph.get_submodule(str(node.target)))


def _is_join(node: fx.Node) -> bool:
    """Tell a join of maps."""
    return node.op == "call_function" and node.target in _JOINS


class _Watch(fx.Interpreter):
    """Runs a network in float32 and notes what its maps hold.

    Ranges are of all runs, means of the last.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.ranges: dict[str, tuple[float, float]] = {}
        self.means: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        conv = _conv(self.module, n)
        if conv is None:
            found = super().run_node(n)
        else:
            maps = self.fetch_args_kwargs_from_env(n)[0]
            plain = conv.conv if isinstance(conv, FusedConv) else conv
            found = plain(maps[0])
            self.means[n.name] = found.mean((0, 2, 3))
            found = found + maps[1] if len(maps) > 1 else found
            found = (
                found.relu_() if isinstance(conv, FusedConv) and conv.clips else found
            )
        if isinstance(found, torch.Tensor):
            # In the order of the memory, which is many times faster.
            flat = found.movedim(1, -1) if found.dim() == 4 else found
            ends = [end.item() for end in flat.flatten().aminmax()]
            ends += self.ranges.get(n.name, ())
            self.ranges[n.name] = (min(ends), max(ends))
        return found


class _Correct(fx.Interpreter):
    """Runs a network in whole numbers and corrects it step by step."""

    def __init__(self, graph: fx.GraphModule, means: dict[str, Tensor]) -> None:
        super().__init__(graph)
        self._means = means

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "call_module":
            conv = self.module.get_submodule(str(n.target))
            if isinstance(conv, QuantizedConv):
                maps = self.fetch_args_kwargs_from_env(n)[0]
                conv.correct(maps[0], self._means[n.meta[_WAS]])
        return super().run_node(n)


class _Rewriting:
    """Turns steps in float32 into steps in whole numbers."""

    def __init__(
        self,
        graph: fx.GraphModule,
        ranges: dict[str, tuple[float, float]],
        kind: torch.dtype,
    ) -> None:
        self._old, self._kind = graph, kind
        self._scales = self._choose_scales(ranges)
        self._wanted = self._find_wanted()
        self._new = fx.Graph()
        self._modules: dict[str, Any] = {}
        # The two forms of each map, as far as they are there.
        self._numbers: dict[fx.Node, fx.Node] = {}
        self._values: dict[fx.Node, fx.Node] = {}

    def rewrite(self) -> fx.GraphModule:
        """Give the network in whole numbers."""
        for node in self._old.graph.nodes:
            self._rewrite(node)
        self._keep_what_is_used_again()
        for node in self._new.nodes:
            if node.op == "call_module" and node.target not in self._modules:
                self._modules[node.target] = self._old.get_submodule(node.target)
            elif node.op == "get_attr":
                self._modules[node.target] = attrgetter(node.target)(self._old)
        return fx.GraphModule(self._modules, self._new)

    def _passes(self, node: fx.Node) -> bool:
        """Tell a step that takes whole numbers as they are."""
        return _is_join(node) or _pool(self._old, node) is not None

    def _choose_scales(
        self, ranges: dict[str, tuple[float, float]]
    ) -> dict[fx.Node, Scale]:
        """Give each map a scale; what passes numbers on shares that of its inputs."""
        group = {node: node for node in self._old.graph.nodes}

        def _head(node: Any) -> Any:
            while group[node] is not node:
                node = group[node]
            return node

        for node in group:
            if self._passes(node):
                for taken in node.all_input_nodes:
                    group[_head(taken)] = _head(node)
        found: dict[fx.Node, list[float]] = defaultdict(list)
        for node in group:
            found[_head(node)] += ranges.get(node.name, ())
        return {
            node: Scale.of_range(min(ends), max(ends))
            for node in group
            if (ends := found[_head(node)])
        }

    def _find_wanted(self) -> set[fx.Node]:
        """Find the maps that are wanted in whole numbers."""
        wanted: set[fx.Node] = set()
        for node in reversed(self._old.graph.nodes):
            if node in wanted and self._passes(node):
                wanted.update(node.all_input_nodes)
            elif _conv(self._old, node) is not None:
                # A map that is added comes in the form of the sum.
                wanted.update(_maps(node)[: None if node in wanted else 1])
        return wanted

    def _rewrite(self, node: fx.Node) -> None:
        conv = _conv(self._old, node)
        is_wanted = node in self._wanted
        if conv is not None:
            source, *others = _maps(node)
            added = self._as_numbers if is_wanted else self._as_values
            args = (self._as_numbers(source), *(added(other) for other in others))
            step = QuantizedConv(
                conv,
                self._scales[source],
                self._scales[node] if is_wanted else None,
                self._kind,
                self._scales[others[0]] if others and is_wanted else None,
            )
            made = self._call(step, args)
            made.meta[_WAS] = node.name
        elif is_wanted and (pool := _pool(self._old, node)) is not None:
            made = self._call(
                SeparableMaxPool(pool), (self._as_numbers(node.all_input_nodes[0]),)
            )
        elif is_wanted and _is_join(node):
            made = self._new.node_copy(node, self._as_numbers)
        else:
            is_wanted = False
            made = self._new.node_copy(node, self._as_values)
        (self._numbers if is_wanted else self._values)[node] = made

    def _as_numbers(self, node: fx.Node) -> fx.Node:
        if node not in self._numbers:
            step = Quantize(self._scales[node])
            self._numbers[node] = self._call(step, (self._values[node],))
        return self._numbers[node]

    def _as_values(self, node: fx.Node) -> fx.Node:
        if node not in self._values:
            step = Dequantize(self._scales[node], self._kind)
            self._values[node] = self._call(step, (self._numbers[node],))
        return self._values[node]

    def _call(self, module: nn.Module, args: tuple[fx.Node, ...]) -> fx.Node:
        name = f"quantized_{len(self._modules)}"
        self._modules[name] = module
        return self._new.call_module(name, args)

    def _keep_what_is_used_again(self) -> None:
        """Copy a map before a sum is written over it, where it is needed later."""
        order = {node: place for place, node in enumerate(self._new.nodes)}
        for node, place in order.items():
            step = self._modules.get(str(node.target))
            if not isinstance(step, QuantizedConv) or len(node.args) == 1:
                continue
            other = node.args[1]
            maker = self._modules.get(str(other.target))
            step.keeps_other = (
                other is node.args[0]
                or any(order[user] > place for user in other.users)
                or not isinstance(maker, QuantizedConv | Quantize | Dequantize)
            )


__all__ = ["quantize_encoder"]
