"""A field whose state has, beside z, the integrals that regularise it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, PyTree

from jaxode.checks import ConfigError
from jaxode.nn.kernels import MATMUL, NATIVE
from jaxode.types import Answer, Args, Keys, State, Time

PerSample = Float[Array, " B"]


class FieldInputs(NamedTuple):
    """What a `RegularisedField` reads besides time and state; None for what it does not use."""

    noise: Answer | None
    """ε, shaped as what the field moves."""
    speed: Float[Array, ""] | None
    """(T - t0) / (t1 - t0), for a solve to the end time T in place of t1."""
    args: Args
    """Of the field itself."""


def positions(field: Callable[..., State], state: Answer) -> Answer:
    """The part of a state that a field moves, without integrals such as a log-density.

    Args:
      field: whose method `positions` says which part that is; without one it is all.
      state: of the field, or its slope.
    """
    part = getattr(field, "positions", None)
    return state if part is None else part(state)


def numbers_of_a_sample(state: State) -> int:
    """D, how many numbers a sample's state has."""
    return sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(state))


def mean_square(state: State, numbers: int) -> PerSample:
    """Each sample's sum of squares, divided by a number."""
    parts = [
        jnp.sum(jnp.square(leaf), tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(state)
    ]
    return sum(parts[1:], parts[0]) / numbers


def root_mean_square(state: State) -> PerSample:
    """Of each sample's numbers; its derivative at zero is zero."""
    square = mean_square(state, numbers_of_a_sample(state))
    above = square > 0
    return jnp.where(above, jnp.sqrt(jnp.where(above, square, 1)), 0)


def draw_gaussian(keys: Keys, state: State) -> State:
    """N(0, 1) shaped as a state, drawn for each sample from its own key.

    Args:
      keys: a random key for each sample.
      state: a pytree of arrays [B, …].
    """
    leaves, tree = jax.tree.flatten(state)

    def draw(index: int, leaf: Array) -> Array:
        def one(key: Array) -> Array:
            return jax.random.normal(jax.random.fold_in(key, index), leaf.shape[1:], leaf.dtype)

        return jax.vmap(one)(keys)

    return jax.tree.unflatten(tree, [draw(index, leaf) for index, leaf in enumerate(leaves)])


def differentiable_twice(field: Callable[..., State]) -> Callable[..., State]:
    """A field whose derivative has a derivative: the C++ kernels of its layers have none.

    Args:
      field: a function, which is returned; or a module, of which a copy is with the same parameters
        and matrix products in place of the native kernels.
    """
    if not isinstance(field, nnx.Module):
        return field
    copy = nnx.merge(*nnx.split(field))
    for _, module in nnx.iter_modules(copy):
        layer: Any = module
        if getattr(layer, "kernels", None) == NATIVE:
            layer.kernels = MATMUL
        if getattr(layer, "chain", None) is NATIVE.chain:
            layer.chain = MATMUL.chain
    return copy  # type: ignore[return-value]


class RegularisedField(nnx.Module):
    """d(z, E, N)/dt = (f(t, z), ||f||² / D, ||εᵀ ∂f/∂z||² / D): a field and what regularises it.

    E is the kinetic energy of a sample's path, and N an estimate of the integral of its Jacobian's
    squared Frobenius norm, each divided by the D numbers of a sample's z.

    Source: Finlay, Jacobsen, Nurbekyan and Oberman 2020, "How to Train Your Neural ODE: the World
    of Jacobian and Kinetic Regularization", whose training solves have these two integrals too.

    Args:
      field: f(t, z) or f(t, z, args); no sample may influence another's slope.
      integrals: names of those that there are, of kinetic and jacobian.
      start: t0.
      takes_args: whether the field has a third argument.
      packed: the shape of a sample's z, if the state is one array [B, N + integrals] with z in the
        first N columns, as per-sample step sizes need it; None for a pair of z and a tuple of [B].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn.regularised_field import FieldInputs, RegularisedField
      >>> field = RegularisedField(lambda t, z: 3 * z, ("kinetic",))
      >>> state = field.augmented(jnp.ones((2, 4)))
      >>> slope, (energy,) = field(jnp.array(0.0), state, FieldInputs(None, None, None))
      >>> energy.tolist()
      [9.0, 9.0]
    """

    def __init__(
        self,
        field: Callable[..., State],
        integrals: tuple[str, ...],
        start: float = 0.0,
        *,
        takes_args: bool = False,
        packed: tuple[int, ...] | None = None,
    ) -> None:
        self.field, self.integrals, self.start = field, integrals, start
        self.takes_args, self.packed = takes_args, packed

    def augmented(self, z: State) -> Answer:
        """The state at t0, whose integrals are zero.

        Args:
          z: a pytree of arrays [B, …].

        Raises:
          ConfigError: they have no common axis of samples.
        """
        leaves = jax.tree.leaves(z)
        sizes = {leaf.shape[0] if leaf.ndim else None for leaf in leaves}
        if len(sizes) != 1 or None in sizes:
            shapes = [list(leaf.shape) for leaf in leaves]
            raise ConfigError(f"regularise needs a state of arrays [B, ...], got {shapes}")
        zeros = jnp.zeros(sizes.pop(), leaves[0].dtype)  # type: ignore[arg-type]
        return self._joined(z, [zeros] * len(self.integrals))

    def parted(self, answer: Answer) -> tuple[Answer, tuple[Float[Array, "*T B"], ...]]:
        """What `augmented` joined: z and the integrals of a state, or of states at many times.

        Args:
          answer: of the solve.
        """
        if self.packed is None:
            return answer
        count = len(self.integrals)
        flat, integrals = jnp.split(answer, [answer.shape[-1] - count], -1)
        z = flat.reshape(*flat.shape[:-1], *self.packed)
        return z, tuple(jnp.moveaxis(integrals, -1, 0))

    def _joined(self, z: State, integrals: list[PerSample]) -> Answer:
        if self.packed is None:
            return z, tuple(integrals)
        return jnp.concatenate([z.reshape(z.shape[0], -1), jnp.stack(integrals, 1)], 1)

    def __call__(self, t: Time, state: Answer, inputs: FieldInputs) -> Answer:
        """The slope of the state.

        Args:
          t: one number, or [B, 1] if the state is packed.
          state: as `augmented` makes it.
          inputs: noise, speed and the field's own argument.
        """
        # What is drawn has no gradient.
        noise, speed = lax.stop_gradient(inputs[:2])
        z, _ = self.parted(state)
        if self.packed is not None:
            t = t.reshape(t.shape[0], *[1] * len(self.packed))
        if speed is not None:
            t = self.start + speed * (t - self.start)
        given: tuple[PyTree, ...] = (inputs.args,) if self.takes_args else ()

        def slopes(z: State) -> tuple[Answer, State]:
            slope = self.field(t, z, *given)
            return positions(self.field, slope), slope

        pull: Any = None
        if noise is None:
            moved, slope = slopes(z)
        else:
            moved, pull, slope = jax.vjp(slopes, z, has_aux=True)
        numbers = numbers_of_a_sample(moved)
        rates = {"kinetic": lambda: moved, "jacobian": lambda: pull(noise)[0]}
        squares = [mean_square(rates[name](), numbers) for name in self.integrals]
        augmented = self._joined(slope, squares)
        return augmented if speed is None else jax.tree.map(lambda leaf: speed * leaf, augmented)
