"""Derivatives of native calls, from a reference in XLA's operations.

A gradient computed in C++ is linear in the cotangent. Diffrax's adjoint differentiates it with
respect to the cotangent, which is the same call again; every other derivative is the reference's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, PyTree

Static = Hashable
"""Static settings of a call."""

Gradient = Callable[..., PyTree[Array]]
"""(static settings, residuals, cotangent of the result) → cotangents of the inputs."""


Function = Callable[..., PyTree[Array]]
"""(static settings, arrays) → arrays."""


def with_derivatives(call: Function, reference: Function) -> Function:
    """A call in C++ with the derivatives of its reference.

    Args:
      call: (static settings, arrays) → arrays; XLA cannot differentiate it.
      reference: the same function in XLA's operations.

    Returns:
      A function with the values of `call`, differentiable in either mode.
    """

    @functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
    def function(settings: Static, arrays: PyTree[Array]) -> PyTree[Array]:
        return call(settings, arrays)

    def jvp(settings: Static, primals: PyTree[Array], tangents: PyTree) -> PyTree[Array]:
        return (
            function(settings, *primals),
            jax.jvp(functools.partial(reference, settings), primals, tangents)[1],
        )

    function.defjvp(jvp)
    return function


def differentiable(call: Gradient, reference: Gradient) -> Gradient:
    """A gradient in C++ with the derivatives of its reference.

    Args:
      call: computes the gradient; XLA cannot differentiate it.
      reference: the same function of residuals and cotangent in XLA's operations.

    Returns:
      A function with the values of `call`, differentiable in forward mode, and in reverse mode with
      respect to the residuals.
    """

    @functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
    def gradient(
        settings: Static, residuals: PyTree[Array], cotangent: PyTree[Array]
    ) -> PyTree[Array]:
        return call(settings, residuals, cotangent)

    def jvp(settings: Static, primals: PyTree[Array], tangents: PyTree) -> PyTree[Array]:
        (residuals, cotangent), (to_residuals, to_cotangent) = primals, tangents
        out = gradient(settings, residuals, cotangent)
        if all(
            isinstance(leaf, SymbolicZero)
            for leaf in jax.tree.leaves(to_residuals, is_leaf=_is_zero)
        ):
            if isinstance(to_cotangent, SymbolicZero):
                return out, jax.tree.map(jnp.zeros_like, out)
            return out, gradient(settings, residuals, to_cotangent)
        filled = jax.tree.map(
            _filled, (to_residuals, to_cotangent), (residuals, cotangent), is_leaf=_is_zero
        )
        return (
            out,
            jax.jvp(functools.partial(reference, settings), (residuals, cotangent), filled)[1],
        )

    gradient.defjvp(jvp, symbolic_zeros=True)
    return gradient


def _is_zero(leaf: object) -> bool:
    return isinstance(leaf, SymbolicZero)


def _filled(tangent: Array | SymbolicZero, primal: Array) -> Array:
    return jnp.zeros_like(primal) if isinstance(tangent, SymbolicZero) else tangent
