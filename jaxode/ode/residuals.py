"""A vector field split into its forward pass and its pullback, with the residuals between."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import equinox
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Literal, Primitive, jaxpr_as_fun
from jaxtyping import Array, ArrayLike, Inexact, PyTree, Shaped

from jaxode.types import Args, RealScalar, State, Time

Residuals = list[Array]
"""What a pullback needs of an evaluation."""

SharedResiduals = list[ArrayLike]
"""What the pullbacks of all evaluations need: constants, which may be numbers, among them."""

RealInputs = list[Inexact[Array, "..."]]
"""Floating-point arrays that a field reads, or their cotangents."""

SAVE_FOR_BACKWARD = "save_for_backward"
"""Name (jax.ad_checkpoint.checkpoint_name) of a result that is expensive to rematerialise."""


def _is_saved(primitive: Primitive, *_: object, **params: object) -> bool:
    """Whether a result is saved for the pullback instead of rematerialised.

    Memory costs more time than cheap arithmetic.
    """
    named = primitive.name == "name" and params["name"] == SAVE_FOR_BACKWARD
    return named or primitive in (jax.lax.dot_general_p, jax.lax.conv_general_dilated_p)


class Inputs(NamedTuple):
    """What a field reads besides time and state."""

    real: RealInputs
    """Arrays that have a derivative."""
    other: list[Shaped[Array, "..."]] | None
    """All other arrays; None in place of their cotangents."""


class LinearizedField:
    """dz/dt = f(t, z, inputs), traced once and taken apart for reverse mode.

    A pullback is a pure function of arrays, its residuals. Those that depend on neither time nor
    state (parameters, and what is computed from them alone) are the same for every evaluation; the
    others, each once, are `saved`.

    Args:
      field: t, z, args → dz/dt.
      t: a time as the field receives it, for its type and shape.
      z: a state, likewise.
      args: what the field reads. Arrays that it closes over are inputs too, with a derivative if
        they are being differentiated.

    Attributes:
      inputs: the arrays of `args`, and those that the field closes over.
      evaluate: t, z, inputs → dz/dt.
      reads_time: whether dz/dt depends on t.
      slope: shapes and types of dz/dt.
    """

    def __init__(
        self,
        field: Callable[[Time, State, Args], State],
        t: RealScalar | Shaped[ArrayLike, "..."],
        z: State,
        args: Args,
    ) -> None:
        arrays, static = equinox.partition(args, equinox.is_array_like)
        leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, arrays))

        def call(t: Time, z: State, leaves: list[Array]) -> State:
            return field(t, z, equinox.combine(jax.tree.unflatten(tree, leaves), static))

        traced, shape = jax.make_jaxpr(call, return_shape=True)(t, z, leaves)
        closed_over = [isinstance(c, Tracer) for c in traced.consts]
        fixed = [None if over else c for c, over in zip(traced.consts, closed_over, strict=True)]
        leaves = [c for c, over in zip(traced.consts, closed_over, strict=True) if over] + leaves
        self._real = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]
        self.inputs = Inputs(
            *([x for x, r in zip(leaves, self._real, strict=True) if r == w] for w in (True, False))
        )

        def evaluate(t: Time, z: State, inputs: Inputs) -> State:
            real, other = iter(inputs.real), iter(inputs.other or ())
            merged = iter([next(real if r else other) for r in self._real])
            consts = [
                next(merged) if over else c for c, over in zip(fixed, closed_over, strict=True)
            ]
            flat = jaxpr_as_fun(ClosedJaxpr(traced.jaxpr, consts))(t, *jax.tree.leaves(z), *merged)
            return jax.tree.unflatten(jax.tree.structure(shape), flat)

        self.evaluate = evaluate
        self.reads_time = (
            traced.jaxpr.invars[0]
            in {
                v
                for equation in traced.jaxpr.eqns
                for v in equation.invars
                if not isinstance(v, Literal)
            }
            or traced.jaxpr.invars[0] in traced.jaxpr.outvars
        )
        self.slope = shape
        self._like = t, z
        self._vjp: PyTree | None = None

    @functools.cached_property
    def saved(self) -> list[jax.ShapeDtypeStruct]:
        """Shapes and types of an evaluation's own residuals."""
        self._pullback  # noqa: B018 - traced at first use: a solve without a gradient needs none
        return self._saved

    @functools.cached_property
    def _pullback(self) -> Callable[..., list[ArrayLike]]:
        """The forward pass with its residuals, traced, for what each of these is and depends on."""
        t, z = self._like

        def forward(t: Time, z: State, inputs: Inputs) -> tuple[State, list[ArrayLike]]:
            def slope_of(z: State, real: RealInputs) -> State:
                return self.evaluate(t, z, inputs._replace(real=real))

            slope, pull = jax.vjp(
                jax.checkpoint(slope_of, policy=_is_saved, prevent_cse=False), z, inputs.real
            )
            residuals, self._vjp = jax.tree.flatten(pull)
            return slope, residuals

        traced, (slope, residuals) = jax.make_jaxpr(forward, return_shape=True)(t, z, self.inputs)
        self._slope = jax.tree.structure(slope)
        jaxpr = traced.jaxpr
        varying = set(jaxpr.invars[: 1 + len(jax.tree.leaves(z))])
        for equation in jaxpr.eqns:
            if any(not isinstance(v, Literal) and v in varying for v in equation.invars):
                varying.update(equation.outvars)
        outputs = jaxpr.outvars[self._slope.num_leaves :]
        names = [None if isinstance(v, Literal) or v not in varying else v for v in outputs]
        unique = list(dict.fromkeys(name for name in names if name is not None))
        self._source = [None if name is None else unique.index(name) for name in names]
        self._first = [names.index(name) for name in unique]
        self._saved = [residuals[i] for i in self._first]
        return jaxpr_as_fun(traced)

    def forward(self, t: Time, z: State, inputs: Inputs) -> tuple[State, Residuals]:
        """dz/dt, and what its pullback needs beyond what `shared_residuals` gives."""
        slope, residuals = self._all(t, z, inputs)
        # What depends on time or state is an array.
        return slope, [residuals[i] for i in self._first]  # type: ignore[return-value]

    def shared_residuals(self, t: Time, z: State, inputs: Inputs) -> SharedResiduals:
        """The residuals that all evaluations share.

        t and z serve for their types alone, so XLA removes the rest.
        """
        _, residuals = self._all(t, z, inputs)
        return [r for r, source in zip(residuals, self._source, strict=True) if source is None]

    def vjp(
        self, saved: Residuals, shared: SharedResiduals, cotangent: State
    ) -> tuple[State, RealInputs]:
        """Cotangents of z and of the real inputs.

        Args:
          saved: the evaluation's own residuals, from `forward`.
          shared: from `shared_residuals`.
          cotangent: of dz/dt.
        """
        rest = iter(shared)
        leaves = [next(rest) if source is None else saved[source] for source in self._source]
        return jax.tree.unflatten(self._vjp, leaves)(cotangent)

    def _all(self, t: Time, z: State, inputs: Inputs) -> tuple[State, list[ArrayLike]]:
        flat = self._pullback(t, *jax.tree.leaves(z), *inputs.real, *(inputs.other or ()))
        count = self._slope.num_leaves
        return jax.tree.unflatten(self._slope, flat[:count]), flat[count:]
