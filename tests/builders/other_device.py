"""A device that is not there: it computes as the CPU, and refuses the CPU's tensors.

Code that forgets to move a tensor to the GPU runs on every machine without one. Here it
fails, as it would there: tensors on `OTHER` are wrappers whose numbers are kept on the
CPU, and an operation that is given tensors of both raises. Single numbers and places
(indices) may lie on the CPU, as PyTorch allows.
"""

from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

OTHER = torch.device("meta")
"""A device that PyTorch knows on every machine and that does not compute by itself."""


_TAKES_PLACES = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default}


class _There(torch.Tensor):
    """A tensor on the other device."""

    @staticmethod
    def __new__(cls, inner):
        # A wrapper has no numbers that inference mode could protect.
        with torch.inference_mode(mode=False):
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                inner.shape,
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                device=OTHER,
            )
        made.inner = inner
        return made

    def __deepcopy__(self, memo):
        found = _There(self.inner.clone())
        if isinstance(self, torch.nn.Parameter):
            found = torch.nn.Parameter(found, self.requires_grad)
        memo[id(self)] = found
        return found

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Creates tensors where they are asked for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Numbers(TorchFunctionMode):
    """Numbers from and to Python, which PyTorch moves without asking a mode."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.tolist:
            args = (args[0].cpu(),)
        device = kwargs.pop("device", None) if func is torch.tensor else None
        made = func(*args, **kwargs)
        return made if device is None else made.to(device)


def _run(func, args, kwargs):
    """Compute on the CPU what was asked of either device."""
    # Inference mode leaves it to us to take apart what is made of other operations.
    with _Mode():
        made = func.decompose(*args, **kwargs)
    if made is not NotImplemented:
        return made
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    there = {id(t.inner): t for t in given if isinstance(t, _There)}
    copies = func is torch.ops.aten.copy_.default
    if func in _TAKES_PLACES:
        given = [t for t in given if t.dtype not in {torch.int64, torch.bool}]
    here = [t for t in given if not isinstance(t, _There) and t.dim() > 0]
    if there and here and not copies:
        msg = f"{func} was given tensors of two devices; those of the CPU: {here}"
        raise RuntimeError(msg)
    goes = isinstance(args[0], _There) if copies else bool(there)
    if kwargs.get("device") is not None:
        goes = torch.device(kwargs["device"]).type == OTHER.type
        kwargs = {**kwargs, "device": "cpu"}

    def bare(value):
        return value.inner if isinstance(value, _There) else value

    def placed(value):
        if not isinstance(value, torch.Tensor):
            return value
        # What is changed in place stays the tensor that it was.
        if id(value) in there:
            return there[id(value)]
        return _There(value) if goes else value

    bare_args, bare_kwargs = tree_map(bare, (args, kwargs))
    return tree_map(placed, func(*bare_args, **bare_kwargs))


@contextmanager
def other_device():
    """Have the other device within."""
    swapped = torch.__future__.get_swap_module_params_on_conversion()
    # A parameter cannot change its device in place.
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with _Mode(), _Numbers():
            yield OTHER
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapped)
