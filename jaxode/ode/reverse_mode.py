"""Which derivatives a solve has: a gradient mode without others says so in one sentence.

Every mode but `direct` defines first derivatives in reverse mode. JAX would answer a forward-mode
or a second derivative with a message about while loops or custom rules.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

import equinox
import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxode.checks import ConfigError
from jaxode.config import GradientFacts

Inputs = TypeVar("Inputs")

FORWARD = (
    "gradient mode {name} has derivatives in reverse mode only, as jax.grad takes them; jax.jvp,"
    " jax.linearize, jax.jacfwd and jax.hessian need gradient mode direct"
)
SECOND = (
    "gradient mode {name} has first derivatives only; a derivative of a derivative needs gradient"
    " mode direct"
)

tangent_p = Primitive("tangent_in_reverse_mode")
"""The identity on tangents, which are only transposed in reverse mode and never computed."""


def _refuse(*_: object, name: str) -> NoReturn:
    raise ConfigError(FORWARD.format(name=name))


tangent_p.def_impl(_refuse)
tangent_p.def_abstract_eval(lambda tangent, *, name: tangent)
ad.deflinear2(tangent_p, lambda cotangent, _, *, name: [cotangent])
batching.defvectorized(tangent_p)
mlir.register_lowering(tangent_p, lambda context, *tangents, name: _refuse(name=name))


def first_derivatives_in_reverse(inputs: Inputs, facts: GradientFacts) -> Inputs:
    """The inputs of a solve as they are, whose other derivatives are refused.

    Args:
      inputs: a pytree; what is no array of real numbers is passed on.
      facts: those of the gradient mode.

    Raises:
      ConfigError: not here, but where a tangent, or a gradient's derivative, is computed.
    """
    name = facts.name
    real, others = equinox.partition(inputs, equinox.is_inexact_array)

    @jax.custom_jvp
    def reverse_only(real: Inputs) -> Inputs:
        return real

    def marked(tangent: Any) -> Any:
        still = isinstance(tangent, jax.custom_derivatives.SymbolicZero)
        return tangent if still else tangent_p.bind(tangent, name=name)

    def mark(primals: tuple, tangents: tuple) -> tuple:
        return primals[0], jax.tree.map(marked, tangents[0])

    reverse_only.defjvp(mark, symbolic_zeros=True)

    @jax.custom_jvp
    def constant(saved: Any) -> Any:
        return saved

    def refuse(primals: tuple, tangents: tuple) -> NoReturn:
        raise ConfigError(SECOND.format(name=name))

    constant.defjvp(refuse)

    @jax.custom_vjp
    def first_only(real: Inputs) -> Inputs:
        return real

    def forward(real: Inputs) -> tuple[Inputs, Inputs]:
        real = constant(real)
        return real, real

    def backward(saved: Inputs, cotangent: Inputs) -> tuple[Inputs]:
        return (constant((saved, cotangent))[1],)

    first_only.defvjp(forward, backward)
    return equinox.combine(first_only(reverse_only(real)), others)
