"""The PyTorch side: one run with every layer's calls, outputs and gradients, as NumPy arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxode.checks import ConfigError, one_line, require
from jaxode.parity.calls import Calls, Solve
from jaxode.parity.torch_solves import SolveCounter, counted_solves

DROPOUT = ("_DropoutNd", "MultiheadAttention", "RNNBase")
"""Bases of modules that draw at random in training."""

UNREGISTERED = (
    " (a tensor that is neither parameter nor buffer keeps its type: register it as a buffer, or"
    " compare in float32)"
)


def require_torch() -> Any:
    """The package torch.

    Raises:
      ConfigError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ConfigError("jaxode.parity needs PyTorch: pip install 'jaxode[torch]'") from error
    return torch


@dataclass
class TorchRun:
    """What a run of the PyTorch module gave.

    Args:
      inputs: as the module saw them.
      outputs: floating-point arrays of what it returned.
      calls: of its layers.
      before: parameters and buffers before the run, by name.
      after: likewise after it.
      gradients: of the parameters that require one, by name; zeros where there is none.
      input_gradients: None for an input of whole numbers.
      cotangents: of the outputs; the gradients are those of their product with the outputs.
      solves: of torchdiffeq.
      has_adjoint: whether a gradient came from a backward solve.
    """

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    calls: Calls
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    gradients: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    input_gradients: list[np.ndarray | None] = dataclasses.field(default_factory=list)
    cotangents: list[np.ndarray] = dataclasses.field(default_factory=list)
    solves: list[Solve] = dataclasses.field(default_factory=list)
    has_adjoint: bool = False


def to_numpy(value: Any) -> np.ndarray:
    """A copy as a NumPy array, of a tensor or of anything that NumPy reads."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.array(value)


def leaves(value: Any) -> list[Any]:
    """The floating-point tensors in nested tuples, lists, dicts (by key) and dataclasses."""
    if hasattr(value, "is_floating_point"):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        return [leaf for key in sorted(value, key=str) for leaf in leaves(value[key])]
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in leaves(each)]
    if dataclasses.is_dataclass(value):
        return [leaf for f in dataclasses.fields(value) for leaf in leaves(getattr(value, f.name))]
    return []


def named_tensors(module: Any) -> dict[str, np.ndarray]:
    """Copies of the parameters and of the floating-point buffers."""
    buffers = {n: b for n, b in module.named_buffers() if b.is_floating_point()}
    return {n: to_numpy(t) for n, t in (*module.named_parameters(), *buffers.items())}


@contextmanager
def prepared(module: Any, dtype: str, train: bool | None) -> Iterator[bool]:
    """A module in another type and mode, for a while; yields whether dropout was turned off.

    Parameters, buffers, modes and the gradients that they hold are the same objects afterwards.

    Args:
      module: of PyTorch.
      dtype: "float32" or "float64".
      train: the mode; None leaves it. Modules that drop out at random stay out of training.
    """
    torch = require_torch()
    wanted = getattr(torch, dtype)
    parameters = [(p, p.data) for p in module.parameters()]
    buffers = [(m, key, b) for m in module.modules() for key, b in m._buffers.items()]
    modes = [(m, m.training) for m in module.modules()]
    tf32 = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = False
        for parameter, data in parameters:
            if data.is_floating_point():
                parameter.data = data.to(wanted)
        for owner, key, buffer in buffers:
            if buffer is not None:
                kind = wanted if buffer.is_floating_point() else buffer.dtype
                owner._buffers[key] = buffer.detach().to(kind, copy=True)
        if train is not None:
            module.train(train)
        yield _without_dropout(module)
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
        for parameter, data in parameters:
            parameter.data = data
        for owner, key, buffer in buffers:
            owner._buffers[key] = buffer
        for owner, mode in modes:
            owner.training = mode


def _without_dropout(module: Any) -> bool:
    found = False
    for each in module.modules():
        bases = {base.__name__ for base in type(each).__mro__}
        share = getattr(each, "p", getattr(each, "dropout", 0.0))
        if each.training and bases & set(DROPOUT) and isinstance(share, int | float) and share > 0:
            each.training, found = False, True
    return found


@contextmanager
def recorded(module: Any, calls: Calls, counter: SolveCounter) -> Iterator[None]:
    """Record the calls of a module and its layers."""

    def hook(name: str) -> tuple[Callable[..., None], Callable[..., None]]:
        entered: list[list[np.ndarray]] = []

        def before(_: Any, args: Any) -> None:
            entered.append([to_numpy(leaf) for leaf in leaves(args)])

        def after(_: Any, args: Any, output: Any) -> None:
            outputs = [to_numpy(leaf) for leaf in leaves(output)]
            calls.add(name, entered.pop(), outputs, counter.depth > 0)

        return before, after

    with ExitStack() as stack:
        for name, each in module.named_modules():
            before, after = hook(name)
            stack.callback(each.register_forward_pre_hook(before).remove)
            stack.callback(each.register_forward_hook(after).remove)
        yield


def run_torch(
    module: Any,
    inputs: Sequence[np.ndarray],
    call: Callable[..., Any] | None,
    dtype: str,
    gradients: bool,
    seed: int,
) -> TorchRun:
    """Run a prepared module.

    Args:
      module: of PyTorch, in its type and mode.
      inputs: arrays; those of floating-point numbers are given the type.
      call: (module, *inputs) → outputs; None calls the module.
      dtype: "float32" or "float64".
      gradients: whether they are wanted.
      seed: of the cotangents.

    Raises:
      ConfigError: the module raised an error, or returned no floating-point tensor.
    """
    torch = require_torch()
    device = next((t.device for t in (*module.parameters(), *module.buffers())), "cpu")
    tensors = []
    for array in inputs:
        floating = np.issubdtype(array.dtype, np.floating)
        kind = getattr(torch, dtype) if floating else None
        tensors.append(torch.tensor(array, dtype=kind, device=device, requires_grad=floating))
    run = TorchRun([to_numpy(t) for t in tensors], [], Calls(), named_tensors(module))
    modules = {id(each): name for name, each in module.named_modules()}
    with counted_solves() as counter, torch.enable_grad():
        try:
            with recorded(module, run.calls, counter):
                # Copies, which a module may change in place, where a leaf may not be.
                copies = [tensor.clone() for tensor in tensors]
                result = module(*copies) if call is None else call(module, *copies)
        except Exception as error:
            hint = UNREGISTERED if dtype == "float64" and "dtype" in str(error) else ""
            what = f"{type(error).__name__}: {one_line(error)}"
            raise ConfigError(f"the torch module raised {what}{hint}") from error
        outputs = leaves(result)
        allowed = "one that returns tensors of floating-point numbers"
        require(bool(outputs), "torch_module", type(result).__name__, allowed)
        run.outputs = [to_numpy(each) for each in outputs]
        run.after = named_tensors(module)
        counter.backward = True
        draws = np.random.default_rng(seed)
        run.cotangents = [draws.standard_normal(o.shape).astype(dtype) for o in run.outputs]
        if gradients:
            _differentiate(torch, module, tensors, outputs, run)
    run.solves, run.has_adjoint = counter.solves(modules), counter.has_adjoint
    return run


def _differentiate(
    torch: Any, module: Any, tensors: list[Any], outputs: list[Any], run: TorchRun
) -> None:
    """Gradients, without touching those that the parameters hold."""
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    wanted = [*(t for t in tensors if t.requires_grad), *parameters.values()]
    reached = [(o, c) for o, c in zip(outputs, run.cotangents, strict=True) if o.requires_grad]
    found: list[Any] = [None] * len(wanted)
    if reached and wanted:
        found = list(
            torch.autograd.grad(
                [o for o, _ in reached],
                wanted,
                [torch.tensor(c, device=o.device) for o, c in reached],
                allow_unused=True,
            )
        )
    values = [
        np.zeros(tuple(w.shape), _type_of(run)) if g is None else to_numpy(g)
        for w, g in zip(wanted, found, strict=True)
    ]
    rest = iter(values)
    run.input_gradients = [next(rest) if t.requires_grad else None for t in tensors]
    run.gradients = dict(zip(parameters, rest, strict=True))


def _type_of(run: TorchRun) -> np.dtype[Any]:
    """The type of a run's numbers."""
    return run.cotangents[0].dtype
