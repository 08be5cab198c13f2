"""Find the last map of a TorchScript network, and give it beside the answer."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from napari_mmsubtype.errors import ConfigurationError

_RESHAPES = ("aten::flatten", "aten::reshape", "aten::view")
# What may stand between the last map and the classifier.
_POOLINGS = (
    "aten::adaptive_avg_pool2d",
    "aten::adaptive_max_pool2d",
    "aten::avg_pool2d",
    "aten::mean",
    *_RESHAPES,
)
# They tell how large the images are, and nothing of what they show.
_SHAPES = ("aten::size", "aten::dim", "aten::len")
_NAMESPACES = ("aten", "prim")
_ROWS_COLS = ({2, 3}, {-1, -2})
_CHANNELS_LAST = ({1, 2}, {-2, -3})


class ScriptMap(nn.Module):
    """A TorchScript network that gives its last map as well as its answer.

    The network's constants and weights are buffers here, so it moves between devices
    as any other; it cannot be trained.

    Parameters
    ----------
    module : torch.jit.ScriptModule
        In evaluation mode, scripted or traced, frozen or not; takes one batch of
        images and gives one tensor.
    size : int
        Side of the images in pixels.

    Attributes
    ----------
    shape : tuple of int
        Channels, rows and columns of the map.
    outputs : int
        Length of the answer.

    Raises
    ------
    ConfigurationError
        If the network has no map before a pooling, or does not take the images.
    """

    def __init__(self, module: Any, size: int) -> None:
        super().__init__()
        graph, defaults, constants = _lift(module)
        self._defaults = defaults
        self._names = [f"constant{number}" for number in range(len(constants))]
        for name, constant in zip(self._names, constants, strict=True):
            self.register_buffer(name, constant)
        self.channels_last = False
        self.shape, self.outputs = self._find_map(graph, size)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network.

        Parameters
        ----------
        images : Tensor of float, shape (n, 3, y, x)
            As the network takes them.

        Returns
        -------
        map : Tensor of float, shape (n, d, h, w)
            The last one before pooling.
        answer : Tensor of float, shape (n, k)
            What the network itself gives.
        """
        constants = [getattr(self, name) for name in self._names]
        found, answer = self._run(images, *self._defaults, *constants)
        if self.channels_last:
            found = found.permute(0, 3, 1, 2)
        return found, answer

    def _find_map(self, graph: Any, size: int) -> tuple[tuple[int, int, int], int]:
        """Try the poolings from the last one on; keep what gives a map."""
        images = torch.zeros(2, 3, size, size)
        constants = [getattr(self, name) for name in self._names]
        reason = "its graph has no pooling that the whole answer goes through"
        nodes = list(graph.nodes())
        for index in reversed(range(len(nodes))):
            node = nodes[index]
            if node.kind() not in _POOLINGS or _is_bypassed(graph, nodes, index):
                continue
            try:
                with torch.no_grad():
                    entering, leaving, answer = _expose(graph, index, whole=True)(
                        images, *self._defaults, *constants
                    )
            except RuntimeError as err:
                reason = " ".join(str(err).split())[-160:]
                continue
            self.channels_last = _pools(node, _CHANNELS_LAST)
            found = entering.permute(0, 3, 1, 2) if self.channels_last else entering
            if _is_map(node, found, leaving) and answer.ndim == 2:
                self._run = _expose(graph, index)
                _, dim, rows, cols = found.shape
                return (dim, rows, cols), answer.shape[1]
            reason = "what its last pooling takes is no map"
        msg = (
            f"the TorchScript network has no map of patches of {size} px that is "
            f"pooled before its classifier ({reason}); transformers and networks "
            "without pooling cannot be drawn on the slide: take the network by its "
            "name (timm:<name>) with a file of its weights"
        )
        raise ConfigurationError(msg)

    def __deepcopy__(self, memo: dict[int, Any]) -> ScriptMap:
        """Copy the buffers; the compiled function is shared."""
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        nn.Module.__init__(other)
        for name, value in vars(self).items():
            if name not in vars(other):
                vars(other)[name] = value
        for name in self._names:
            other.register_buffer(name, copy.deepcopy(getattr(self, name), memo))
        return other.train(self.training)


def _lift(module: Any) -> tuple[Any, list[Any], list[Tensor]]:
    """Give the graph of a network with its weights as further inputs."""
    arguments = module.forward.schema.arguments[1:]
    needed = [a.name for a in arguments if not a.has_default_value()]
    if len(needed) != 1 or arguments[0].name != needed[0]:
        msg = f"the TorchScript network takes {needed}, expected images alone"
        raise ConfigurationError(msg)
    if hasattr(module, "training"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit", FutureWarning)
            module = torch.jit.freeze(module, optimize_numerics=False)
    graph = module.graph.copy()
    torch._C._jit_pass_inline(graph)
    owner = next(graph.inputs())
    if owner.uses():
        msg = (
            "the TorchScript network keeps a state that it changes while it runs; "
            "expected one that only depends on its images"
        )
        raise ConfigurationError(msg)
    graph.eraseInput(0)
    constants: list[Tensor] = []
    _lift_block(graph, graph, constants)
    return graph, [a.default_value for a in arguments[1:]], constants


def _lift_block(graph: Any, block: Any, constants: list[Tensor]) -> None:
    """Turn the tensors of a block into inputs of the graph; check its operators."""
    for node in list(block.nodes()):
        namespace = node.kind().partition("::")[0]
        if namespace not in _NAMESPACES:
            msg = (
                f"the TorchScript network calls {node.kind()!r}; only operators of "
                f"{' and '.join(_NAMESPACES)} are run"
            )
            raise ConfigurationError(msg)
        for inner in node.blocks():
            _lift_block(graph, inner, constants)
        if (
            node.kind() == "prim::Constant"
            and node.hasAttribute("value")
            and node.kindOf("value") == "t"
        ):
            lifted = graph.addInput(f"constant{len(constants)}")
            constants.append(node.t("value").detach().clone())
            node.output().replaceAllUsesWith(lifted)
            node.destroy()


def _expose(graph: Any, index: int, *, whole: bool = False) -> Any:
    """Compile a graph that gives what enters a node, and the answer.

    With ``whole`` it gives what leaves the node as well, between the two.
    """
    graph = graph.copy()
    node = list(graph.nodes())[index]
    values = [next(node.inputs()), next(graph.outputs())]
    if whole:
        values.insert(1, node.output())
    bundle = graph.create("prim::TupleConstruct", values, 1)
    tensor = torch._C.TensorType.get()
    bundle.output().setType(torch._C.TupleType([tensor] * len(values)))
    graph.appendNode(bundle)
    graph.eraseOutput(0)
    graph.registerOutput(bundle.output())
    return torch._C._create_function_from_graph("map_and_answer", graph)


def _is_bypassed(graph: Any, nodes: list[Any], index: int) -> bool:
    """Whether the images reach the answer by another way than through a node.

    So they do around the pooling of a squeeze-and-excitation block.
    """
    reached = {next(graph.inputs()).debugName()}
    for position, node in enumerate(nodes):
        if position != index and node.kind() not in _SHAPES and _uses(node) & reached:
            reached |= {output.debugName() for output in node.outputs()}
    return next(graph.outputs()).debugName() in reached


def _uses(node: Any) -> set[str]:
    """Name every value that a node takes, its blocks included."""
    names = {value.debugName() for value in node.inputs()}
    for block in node.blocks():
        names |= {value.debugName() for value in block.outputs()}
        for inner in block.nodes():
            names |= _uses(inner)
    return names


def _pools(node: Any, axes: tuple[set[int], ...]) -> bool:
    """Whether a mean is taken over some axes."""
    if node.kind() != "aten::mean":
        return False
    given = list(node.inputs())[1].toIValue()
    return isinstance(given, list) and set(given) in axes


def _is_map(node: Any, found: Tensor, leaving: Tensor) -> bool:
    """Whether what enters a node is a map, and what leaves it no longer."""
    if found.ndim != 4 or not found.shape[2] == found.shape[3] > 1:
        return False
    if node.kind() == "aten::mean":
        return _pools(node, _ROWS_COLS + _CHANNELS_LAST)
    if node.kind() in _RESHAPES:
        return leaving.ndim == 2
    return leaving.shape[2] <= found.shape[2]
