"""The comparison of a PyTorch module with an nnx module."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.checks import one_line, require, require_choice
from jaxode.parity.bounds import BOUNDS
from jaxode.parity.calls import Calls, Solve
from jaxode.parity.input_layout import Inputs, Traced, as_arrays, trace, traced_inputs
from jaxode.parity.judging import Judge, fitted_cotangents
from jaxode.parity.layer_errors import LayerComparison
from jaxode.parity.layouts import LAYOUTS, Layout
from jaxode.parity.matching import Matcher, Matching, WeightMapping
from jaxode.parity.nnx_layers import joined, nnx_layers, weights_of
from jaxode.parity.nnx_run import NnxSide
from jaxode.parity.pairing import counterparts
from jaxode.parity.parting import first_difference, first_other_shape
from jaxode.parity.report import ParityReport
from jaxode.parity.rules import NO_BIAS
from jaxode.parity.torch_layers import torch_layers
from jaxode.parity.torch_run import TorchRun, prepared, require_torch, run_torch

DTYPES = ("float64", "float32")

BY_ORDER = (
    "some weights were matched by the order of the layers: if two are mixed up, pass"
    " mapping={PyTorch's name: the nnx module's name}"
)


def check(
    torch_module: Any,
    nnx_module: nnx.Module,
    inputs: Inputs,
    *,
    mapping: WeightMapping | None = None,
    flattened: Mapping[str, tuple[int, ...]] | None = None,
    ignore: Collection[str] = (),
    carry: bool = True,
    keep: bool = False,
    train: bool | None = False,
    layout: Layout = "auto",
    nnx_inputs: Inputs | None = None,
    torch_call: Callable[..., Any] | None = None,
    nnx_call: Callable[..., Any] | None = None,
    gradients: bool = True,
    field: str | None = None,
    dtype: str = "float64",
    seed: int = 0,
) -> ParityReport:
    """Compare a PyTorch module with an nnx module: weights, outputs, layers, gradients, solves.

    The nnx module is given PyTorch's weights: what has the same name first, then by the order of
    the calls and by shape. Layouts are turned where the frameworks differ. Gradients are those of
    ⟨c, outputs⟩ with c a random cotangent, so that every output counts. Both modules stay as they
    are, but for what `keep` says.

    Args:
      torch_module: a `torch.nn.Module`.
      nnx_module: a `flax.nnx.Module` that is to compute the same.
      inputs: of the PyTorch module, an array or a tuple of arrays.
      mapping: PyTorch's name of a module or tensor → the nnx module's, where neither name nor order
        say it. A tensor may also have (name, function), a rearrangement of NumPy arrays.
      flattened: by PyTorch's name of a linear layer that reads a flattened map, the map's
        (C, H, W), where the nnx module flattens [H, W, C].
      ignore: names of tensors and variables that may be without a counterpart.
      carry: whether the nnx module is given PyTorch's weights; if not, its own are compared.
      keep: whether it keeps them.
      train: whether both are in training mode; None leaves the modes. Dropout is always off, since
        no two frameworks draw alike.
      layout: of the nnx module's inputs: "channels_last" for PyTorch's [N, C, …], "batch_first" for
        its [L, N, …], "same"; "auto" takes what its code accepts.
      nnx_inputs: its inputs, if they are none of these.
      torch_call: (module, *inputs) → outputs; None calls the module.
      nnx_call: likewise, of the nnx module.
      gradients: whether they are compared.
      field: PyTorch's name of an ODE's vector field, whose calls are its evaluations; solves by
        torchdiffeq are found without it.
      dtype: "float64" or "float32", in which both sides compute.
      seed: of the cotangent.

    Returns:
      The report: `passed`, `str()` for a table, `as_dict()`, `save_picture(path)`.

    Raises:
      ConfigError: PyTorch is not installed, an argument is wrong, or the PyTorch module raised.

    Example:
      >>> import numpy as np
      >>> import torch
      >>> from flax import nnx
      >>> from jaxode import parity
      >>> theirs, ours = torch.nn.Linear(3, 2), nnx.Linear(3, 2, rngs=nnx.Rngs(0))
      >>> parity.check(theirs, ours, np.ones((4, 3))).passed
      True
    """
    torch = require_torch()
    kind = type(torch_module).__name__
    require(isinstance(torch_module, torch.nn.Module), "torch_module", kind, "a torch.nn.Module")
    kind = type(nnx_module).__name__
    require(isinstance(nnx_module, nnx.Module), "nnx_module", kind, "a flax.nnx.Module")
    require_choice("dtype", dtype, DTYPES)
    require_choice("layout", layout, LAYOUTS)
    given = as_arrays("inputs", inputs)
    names = [name for name, _ in torch_module.named_modules()]
    require(field is None or field in names, "field", field, "the name of a torch module's module")
    with (
        jax.enable_x64(dtype == "float64"),
        jax.default_matmul_precision("highest"),
        prepared(torch_module, dtype, train) as dropout,
    ):
        theirs = run_torch(torch_module, given, torch_call, dtype, gradients, seed)
        if field is not None and not theirs.solves:
            theirs.solves = [Solve(field, len(theirs.calls.by_name.get(field, [])))]
        side = NnxSide(nnx_module, nnx_call, dtype, train)
        if nnx_inputs is None:
            called = traced_inputs(side, torch_module, given, theirs.outputs, layout)
        else:
            called, _ = trace(side, "given", as_arrays("nnx_inputs", nnx_inputs))
        matching = matched(torch_module, side, theirs.calls, mapping or {}, flattened or {})
        if carry:
            side.set_weights({link.target: link.value(theirs.before) for link in matching.links})
        remarks = [*(["dropout is off on both sides"] if dropout else []), *side.remarks]
        report = _compared(torch_module, side, theirs, called, matching, dict(flattened or {}),
                           gradients, (dtype, train, remarks, ignore))  # fmt: skip
    if keep:
        _keep(nnx_module, matching, theirs)
    return report


def matched(
    module: Any,
    side: NnxSide,
    calls: Calls,
    mapping: WeightMapping,
    flattened: Mapping[str, tuple[int, ...]],
) -> Matching:
    """Which weight is which.

    The layers of both sides are in the order of their calls; if one of them was not called, as a
    module that another one reads the weights of, in the order in which they were made.
    """
    theirs, ours = torch_layers(module), nnx_layers(side.module)
    called, called_ours = list(calls.by_name), list(side.recorder.traced.by_name)
    if all(layer.path in called_ours for layer in ours):
        theirs.sort(key=lambda layer: _place(called, layer.module))
        ours.sort(key=lambda layer: called_ours.index(layer.path))
    else:
        ours.sort(key=lambda layer: side.defined.index(layer.path))
    return Matcher(theirs, ours, mapping, flattened).match()


def _place(called: list[str], name: str) -> int:
    """When a module was called, or the one that it is a part of."""
    while name and name not in called:
        name = name.rpartition(".")[0]
    return called.index(name) if name in called else len(called)


def _compared(
    module: Any,
    side: NnxSide,
    theirs: TorchRun,
    called: Traced,
    matching: Matching,
    flattened: dict[str, tuple[int, ...]],
    gradients: bool,
    about: tuple[str, bool | None, list[str], Collection[str]],
) -> ParityReport:
    dtype, train, remarks, ignore = about
    limit = BOUNDS[dtype, "output"].limit
    only_torch = {n: s for n, s in matching.only_torch.items() if n not in ignore}
    only_nnx = {n: s for n, s in matching.only_nnx.items() if n not in ignore}
    links = [(link.source, link.target, link.layout, link.how) for link in matching.links]
    modules = counterparts(matching.pairs, theirs.calls.by_name, side.recorder.traced.by_name)
    failure, run, weights = called.failure, None, side.weights()
    if not failure:
        wanted = [link.target for link in matching.links
                  if link.sources[0].name in theirs.gradients]  # fmt: skip

        def cotangents(outputs: list[np.ndarray]) -> list[np.ndarray] | None:
            return fitted_cotangents(theirs, outputs, called.layout, limit) if gradients else None

        try:
            run = side.run(called.inputs, cotangents, wanted)
        except Exception as error:
            failure = f"{type(error).__name__}: {one_line(error)}"
    if run is None:
        first = first_other_shape(modules, theirs.calls, side.recorder.traced)
        return ParityReport(dtype, called.layout, train, (), (), (), only_torch, only_nnx, links,
                            first, remarks, failure, limit)  # fmt: skip
    judge = Judge(module, theirs, run, matching.links, called.layout, dtype)
    axes = theirs.inputs[0].ndim if theirs.inputs else 0
    layers = LayerComparison(
        theirs.calls, run.calls, called.layout, axes, limit, flattened
    ).layer_errors(modules)
    solves = judge.solves()
    if any(p.ours.kind == "GRUCell" and "bias_hh" in p.theirs.sources for p in matching.pairs):
        remarks.append(NO_BIAS)
    if run.unrecorded:
        remarks.append(run.unrecorded)
    report = ParityReport(
        dtype,
        called.layout,
        train,
        judge.comparisons(weights),
        layers,
        solves,
        only_torch,
        only_nnx,
        links,
        first_difference(layers, theirs.calls, limit),
        remarks,
        "",
        limit,
    )
    if not report.passed and any(link.how == "order" for link in matching.links):
        remarks.append(BY_ORDER)
    return report


def _keep(module: nnx.Module, matching: Matching, theirs: TorchRun) -> None:
    """Give a module its weights, in their own types."""
    values = {link.target: link.value(theirs.before) for link in matching.links}
    for path, variable in weights_of(module):
        if joined(path) in values:
            kind = variable.get_value().dtype
            variable.set_value(jnp.asarray(values[joined(path)], kind))
