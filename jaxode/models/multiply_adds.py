"""How many multiply-adds a model takes, counted by XLA in its compiled program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, PyTree

from jaxode.config import SolveConfig
from jaxode.nn.ode_block import ODEBlock
from jaxode.types import State, Time

ONE_STEP = SolveConfig("euler", step_size=1.0)

QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0}
"""Operations are counted before machine code is made, whose quality does not matter here."""


class MultiplyAdds(NamedTuple):
    """Multiply-adds of a call of a model.

    Args:
      outside: of everything but the fields of the ODE blocks.
      evaluation: of one evaluation of the field of each ODE block, in the order of their solves.

    Example:
      >>> from jaxode.models import MultiplyAdds
      >>> MultiplyAdds(1000, (200, 50)).total([26, 20])
      7200
    """

    outside: int
    evaluation: tuple[int, ...] = ()

    def total(self, evaluations: Sequence[float]) -> int:
        """Of a call.

        Args:
          evaluations: of the field of each ODE block; their means may be no whole numbers.
        """
        solves = zip(self.evaluation, evaluations, strict=True)
        return self.outside + round(sum(each * count for each, count in solves))


class _NoField(nnx.Module):
    """A field of zeros in the place of another, of which it notes what it is called with."""

    def __init__(self, seen: dict[int, Any], number: int) -> None:
        self.note = lambda z: seen.setdefault(number, jax.ShapeDtypeStruct(z.shape, z.dtype))

    def __call__(self, t: Time, z: State) -> State:
        self.note(z)
        return jnp.zeros_like(z)


def multiply_adds(model: nnx.Module, *inputs: PyTree) -> MultiplyAdds:
    """The multiply-adds of a model's call in evaluation; nothing is computed.

    They are half of the operations that XLA counts in the compiled program, so the few of norms,
    activations and sums are included, and products with the zeros of a padding are not. XLA counts
    the body of a loop once, whatever the number of steps: the fields of ODE blocks are therefore
    counted apart, each by one evaluation. XLA does not see into native kernels, so the model must
    have been made with `kernels="plain"`.

    Args:
      model: with arrays or, of `nnx.eval_shape`, with shapes alone; it is left as it is. A state of
        its ODE blocks is an array, and their fields take no third argument.
      inputs: arguments of the call, arrays or shapes.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import multiply_adds
      >>> multiply_adds(nnx.Linear(64, 32, use_bias=False, rngs=nnx.Rngs(0)), jnp.ones((1, 64)))
      MultiplyAdds(outside=2048, evaluation=())
    """
    without: Any = nnx.merge(*nnx.split(model))
    fields, seen = [], {}
    for _, module in nnx.iter_modules(without):
        if isinstance(module, ODEBlock):
            fields.append(module.field)
            module.field, module.solve = _NoField(seen, len(fields) - 1), ONE_STEP
    outside = _counted(without, *inputs)
    time = jax.ShapeDtypeStruct((), jnp.float32)
    each = [_counted(fields[number], time, z) for number, z in seen.items()]
    return MultiplyAdds(outside, tuple(each))


def _counted(module: Any, *inputs: PyTree) -> int:
    """Half of the operations of a module's call."""
    graph, state = nnx.split(module)

    def call(state: PyTree, *inputs: PyTree) -> Array | PyTree:
        return nnx.merge(graph, state)(*inputs)

    program = jax.jit(call).lower(state, *inputs).compile(compiler_options=QUICK)
    costs: Any = program.cost_analysis()
    return round(float((costs or {}).get("flops", 0.0)) / 2)
