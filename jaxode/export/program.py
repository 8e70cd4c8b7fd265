"""A trained model as one function, from stored images to probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from jaxode.inference import TrainedModel
from jaxode.nn import ODEBlock
from jaxode.nn.kernels import Kernels
from jaxode.ode import Stats
from jaxode.ode.unrolled import solve_unrolled
from jaxode.types import Params, State

Program = Callable[[Num[Array, "B H W C"]], Float[Array, "B K"]]


class UnrolledBlock(ODEBlock):
    """An ODE block whose fixed steps are unrolled, for formats without loops."""

    def __call__(self, z: State, args: Params = None) -> tuple[State, Stats]:
        """The state at t1; no statistics."""
        more = () if args is None else (args,)
        z1 = solve_unrolled(lambda t, z: self.field(t, z, *more), z, self.solve, self.t0, self.t1)
        none = jnp.zeros((), jnp.int32)
        return z1, Stats(none, none, none, none)


def program_of(trained: TrainedModel, kernels: Kernels, *, unroll: bool = False) -> Program:
    """Images as the data set stores them → probabilities of the classes.

    Args:
      trained: the model, with its preprocessing.
      kernels: of its convolutions and norms.
      unroll: solve with fixed steps without a loop.

    Returns:
      a function that JAX can trace, of uint8 [B, H, W, C] (float32 for what is no picture).

    Raises:
      ConfigError: when it is called, a solve that cannot be unrolled.
    """
    model = trained.built(kernels)
    if unroll:
        for _, module in nnx.iter_graph(model):
            if isinstance(module, ODEBlock):
                module.__class__ = UnrolledBlock
    graphdef = nnx.split(model, nnx.Param, nnx.BatchStat)[0]

    def program(images: Any) -> Any:
        rows = images.shape[0]
        batch = {
            "image": images,
            "weight": jnp.ones(rows, trained.config.dtype),
            "label": jnp.zeros(rows, jnp.int32),
        }
        logits, _ = trained.logits_of(trained.learned, batch, graphdef)
        return jax.nn.softmax(logits)

    return program
