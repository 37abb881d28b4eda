"""A field and its callbacks as programs for torchdiffeq write them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from odelib.names import expect
from odelib.solvers.callbacks import Callbacks
from odelib.solvers.errors import warn
from odelib.solvers.field import Field, Time, Tree, Wrapped
from odelib.solvers.state import autocasts


class WithTensorTime(Wrapped):
    """A field that wants its time as a 0-dimensional tensor, and whose values are brought to the form of the state.

    The tensor is filled on its device, so nothing is copied there.

    Args:
        field: The field.
        dtype: Precision of the times that it gets.
        device: Their device.
        broadcasts: Whether its values may broadcast to the state, as torchdiffeq's fixed methods let them.
    """

    def __init__(self, field: Field, dtype: torch.dtype, device: torch.device, broadcasts: bool = False) -> None:
        super().__init__(field)
        self.dtype, self.device, self.broadcasts = dtype, device, broadcasts
        self._told = False

    def __call__(self, t: Time, y: Tree) -> Tree:
        """Return field(tensor of t, y)."""
        if not isinstance(t, Tensor):
            t = torch.full((), t, dtype=self.dtype, device=self.device)
        dy: Any = self.field(t, y)
        if isinstance(y, Tensor):
            same = isinstance(dy, Tensor) and dy.shape == y.shape and dy.dtype == y.dtype
            return dy if same else self._like(y, dy)  # type: ignore[no-any-return]
        if isinstance(y, tuple) and isinstance(dy, tuple | list) and len(dy) == len(y):
            return tuple(self._like(leaf, slope, in_tuple=True) for leaf, slope in zip(y, dy, strict=True))
        return dy  # type: ignore[no-any-return]

    def _like(self, y: Any, dy: Any, in_tuple: bool = False) -> Any:
        """Return a value in the shape and dtype of its state where torchdiffeq would take it, else as it is."""
        if isinstance(dy, int | float):
            dy = torch.full((), dy, dtype=self.dtype, device=self.device)
        if not isinstance(y, Tensor) or not isinstance(dy, Tensor):
            return dy
        shape, given = y.shape, dy.shape
        if given == shape and dy.dtype == y.dtype:
            return dy
        if given != shape:
            # In a tuple, torchdiffeq flattens it; elsewhere it must lie as the state does.
            lies = in_tuple or [n for n in given if n != 1] == [n for n in shape if n != 1]
            fits = len(given) <= len(shape) and all(n in (1, m) for n, m in zip(given[::-1], shape[::-1], strict=False))
            if not (dy.numel() == y.numel() and lies) and not (fits and self.broadcasts):
                return dy
            dy = dy.reshape(shape) if dy.numel() == y.numel() else dy.expand(shape)
        if not self._told and not autocasts(y.device.type):
            self._told = True
            warn(
                f"func returned {dy.dtype} in shape {tuple(given)} for a state of {y.dtype} in shape {tuple(shape)} "
                "and is taken to mean that: return dy/dt in the dtype and shape of y"
            )
        return dy.to(y.dtype)


def callbacks_of(func: Field, ending: str, like: Tensor, adaptive: bool) -> Callbacks:
    """Return the callbacks that are attributes of a field, and warn of those that its method never calls.

    Args:
        func: The field.
        ending: The end of their names: "" or "_adjoint".
        like: A tensor of the dtype and device in which they get time and step, which is positive as in torchdiffeq.
        adaptive: Whether the method chooses its steps; only then it calls more than ``callback_step``.
    """
    names = [f"{name}{ending}" for name in ("callback_step", "callback_accept_step", "callback_reject_step")]
    own = [getattr(func, name, None) for name in names]
    if own == [None, None, None]:
        return Callbacks()
    never = [name for name, call in zip(names[1:], own[1:], strict=True) if call is not None and not adaptive]
    if never:
        warn(
            f"a fixed method does not call {' and '.join(never)}, as it accepts each of its steps: use {names[0]}, or "
            "take an adaptive method such as 'dopri5'"
        )
        own[1:] = None, None
    asked = [name for name, call in zip(names, own, strict=True) if call is not None]
    expect(func, "a function", *asked, called_with="t0, y0, dt")
    return Callbacks(*(None if call is None else _with_tensors(call, like) for call in own))


def _with_tensors(call: Callable[..., object], like: Tensor) -> Callable[[float, Any, float], object]:
    def told(t: float, y: Any, h: float) -> None:
        call(like.new_full((), t), y, like.new_full((), abs(h)))

    return told


def wide_of(y0: Tree) -> Tensor:
    """Return an empty tensor with the device of the state and the real dtype that holds all of its leaves."""
    leaves = [y0] if isinstance(y0, Tensor) else [x for x in pytree.tree_leaves(y0) if isinstance(x, Tensor)]
    if not leaves:
        raise TypeError(f"the initial state is {y0!r}: give a tensor, or a tuple, list or dict of tensors")
    dtype = leaves[0].dtype
    for leaf in leaves[1:]:
        dtype = torch.promote_types(dtype, leaf.dtype)
    wide = torch.empty(0, dtype=dtype, device=leaves[0].device)
    return torch.view_as_real(wide) if dtype.is_complex else wide
