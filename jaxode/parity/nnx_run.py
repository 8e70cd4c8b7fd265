"""The nnx side: a copy of the module in the wanted type, its weights, and one run of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.nn import BackwardSolveCost, SolveStats, count_backward
from jaxode.parity.attention import SOFTMAX, widen_attention
from jaxode.parity.calls import Calls, Solve
from jaxode.parity.nnx_layers import defined_order, joined, weights_of
from jaxode.parity.recording import Recorder, floating

DEPENDS_ON_VALUES = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
"""A module whose Python code looks at numbers runs without compilation."""


@dataclass
class NnxRun:
    """What a run of the nnx module gave.

    Args:
      outputs: floating-point arrays of what it returned.
      calls: of its layers.
      after: weights and running statistics after the run, by name.
      gradients: of the weights that were asked for, by name.
      input_gradients: None for an input of whole numbers.
      solves: of its ODE blocks.
      unrecorded: why calls of layers are missing, or nothing.
    """

    outputs: list[np.ndarray]
    calls: Calls
    after: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray] = field(default_factory=dict)
    input_gradients: list[np.ndarray | None] = field(default_factory=list)
    solves: list[Solve] = field(default_factory=list)
    unrecorded: str = ""


class NnxSide:
    """A copy of an nnx module, in the wanted type and mode.

    Args:
      module: stays as it is.
      call: (module, *inputs) → outputs; None calls the module.
      dtype: "float32" or "float64".
      train: the mode; None leaves it. Dropout stays out of training.
    """

    def __init__(
        self, module: nnx.Module, call: Callable[..., Any] | None, dtype: str, train: bool | None
    ) -> None:
        self.defined = defined_order(module)
        self.module = nnx.clone(module)
        self.call = call
        self.dtype = jnp.dtype(dtype)
        for _, variable in weights_of(self.module):
            variable.set_value(jnp.asarray(variable.get_value(), self.dtype))
        modes = {} if train is None else {"use_running_average": not train, "deterministic": True}
        for _, each in nnx.iter_modules(self.module):
            self._retype(each)
            for name in modes.keys() & vars(each).keys():
                setattr(each, name, modes[name])
        self.remarks = (
            [SOFTMAX] if self.dtype == jnp.float64 and widen_attention(self.module) else []
        )
        count_backward(self.module)
        self.recorder = Recorder(self.module)

    def _retype(self, module: Any) -> None:
        """Layers compute in the wanted type, whatever type they were made with."""
        for name in ("dtype", "param_dtype"):
            value = vars(module).get(name)
            if value is not None and jnp.issubdtype(value, jnp.floating):
                setattr(module, name, self.dtype)

    def arrays(self, inputs: Sequence[np.ndarray]) -> list[jax.Array]:
        """Inputs as JAX arrays, those of floating-point numbers in the wanted type."""
        return [
            jnp.asarray(a, self.dtype if np.issubdtype(a.dtype, np.floating) else None)
            for a in inputs
        ]

    def weights(self) -> dict[str, np.ndarray]:
        """Weights and running statistics by name."""
        return {joined(path): np.array(v.get_value()) for path, v in weights_of(self.module)}

    def set_weights(self, values: Mapping[str, np.ndarray]) -> None:
        """Set some of the weights, by name."""
        for path, variable in weights_of(self.module):
            if joined(path) in values:
                variable.set_value(jnp.asarray(values[joined(path)], self.dtype))

    def trace(self, inputs: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
        """Shapes of the outputs; the recorder then has the order and shapes of the calls."""
        graph, state = nnx.split(self.module)

        def shapes_of(state: Any, arrays: list[jax.Array]) -> list[Any]:
            return floating(self._called(nnx.merge(graph, state, copy=True), arrays))

        with self.recorder.recording():
            try:
                found = jax.eval_shape(shapes_of, state, self.arrays(inputs))
            except DEPENDS_ON_VALUES:
                self.recorder.traced = Calls()
                found = shapes_of(state, self.arrays(inputs))
        return [tuple(each.shape) for each in found]

    def _called(self, module: nnx.Module, arrays: list[jax.Array]) -> Any:
        return module(*arrays) if self.call is None else self.call(module, *arrays)  # type: ignore[operator]

    def run(
        self,
        inputs: Sequence[np.ndarray],
        cotangents: Callable[[list[np.ndarray]], list[np.ndarray] | None],
        wanted: Sequence[str],
    ) -> NnxRun:
        """Run the module, once recording its layers and once with gradients.

        Args:
          inputs: in the module's layout.
          cotangents: outputs → their cotangents, or None for no gradients.
          wanted: names of the weights whose gradients are wanted.
        """
        graph, chosen, costs, rest = nnx.split(
            self.module, lambda path, _: joined(path) in set(wanted), BackwardSolveCost, ...
        )
        flat = [(tuple(path), variable) for path, variable in nnx.to_flat_state(chosen)]
        arrays = self.arrays(inputs)
        is_float = [jnp.issubdtype(a.dtype, jnp.floating) for a in arrays]

        def forward(weights: list[jax.Array], floats: list[jax.Array], costs: Any) -> Any:
            given = iter(floats)
            full = [
                next(given) if isf else each for each, isf in zip(arrays, is_float, strict=True)
            ]
            state = nnx.from_flat_state(
                [(path, v.replace(w)) for (path, v), w in zip(flat, weights, strict=True)]
            )
            module = nnx.merge(graph, state, costs, rest, copy=True)
            result = self._called(module, full)
            return floating(result), _left_behind(module)

        def pulled_back(
            weights: list[jax.Array], floats: list[jax.Array], costs: Any, given: list[jax.Array]
        ) -> tuple[Any, ...]:
            return jax.vjp(forward, weights, floats, costs, has_aux=True)[1](given)

        weights = [variable.get_value() for _, variable in flat]
        floats = [each for each, isf in zip(arrays, is_float, strict=True) if isf]
        (outputs, (kept, stats)), unrecorded = self._record(forward, weights, floats, costs)
        run = NnxRun(
            list(map(np.array, outputs)),
            self.recorder.calls,
            {name: np.array(value) for name, value in kept.items()},
            solves=self._solves(stats),
            unrecorded=unrecorded,
        )
        given = cotangents(run.outputs)
        if given is not None:
            arrays_given = [jnp.asarray(c, self.dtype) for c in given]
            of_weights, of_inputs, spent = compiled(
                pulled_back, weights, floats, costs, arrays_given
            )
            run.solves = self._solves(stats, _backward_evaluations(spent))
            found = iter(map(np.array, of_inputs))
            run.input_gradients = [next(found) if isf else None for isf in is_float]
            names = (joined(path) for path, _ in flat)
            run.gradients = dict(zip(names, map(np.array, of_weights), strict=True))
        return run

    def _record(self, forward: Callable[..., Any], *given: Any) -> tuple[tuple[Any, Any], str]:
        """What the module returns, and why the calls of its layers could not be recorded."""
        try:
            with self.recorder.recording():
                return compiled(forward, *given), ""
        except (NotImplementedError, ValueError) as error:  # ordered effects inside vmap, say
            self.recorder.calls = Calls()
            found = compiled(forward, *given)
            return found, f"layers could not be recorded: {str(error).splitlines()[0]}"

    def _solves(
        self, stats: dict[str, Any], backward: Mapping[str, int] | None = None
    ) -> list[Solve]:
        """Costs of the ODE blocks in the order of their first calls."""
        order = list(self.recorder.traced.by_name)
        names = sorted(stats, key=lambda name: order.index(name) if name in order else len(order))
        return [
            Solve(
                name,
                *(int(np.sum(np.asarray(stats[name][part]))) for part in range(3)),
                backward=(backward or {}).get(name),
            )
            for name in names
        ]


def compiled(function: Callable[..., Any], *args: Any) -> Any:
    """A function's result, compiled where that is possible."""
    try:
        return jax.jit(function)(*args)
    except DEPENDS_ON_VALUES:
        return function(*args)


def _backward_evaluations(spent: Any) -> dict[str, int]:
    """Evaluations of backward solves, by the ODE block's name; of other modes there are none."""
    flat = nnx.to_flat_state(spent)
    counts = {joined(path[:-1]): int(variable.get_value().nfe) for path, variable in flat}
    return {name: count for name, count in counts.items() if count}


def _left_behind(module: nnx.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights and running statistics after a call, and the statistics of ODE blocks."""
    kept = {joined(path): variable.get_value() for path, variable in weights_of(module)}
    stats = {
        joined(path[:-1]): tuple(variable.get_value())[:3]
        for path, variable in nnx.to_flat_state(nnx.state(module, SolveStats))
    }
    return kept, stats
