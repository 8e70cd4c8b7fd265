"""Which implementation of convolution and group norm runs: one choice, by backend and by the derivatives needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxode.nn import convolution, normalization
from jaxode.nn.downsampling import downsampling


class Kernels(NamedTuple):
    """A convolution (x, kernel, stride, padding) and a group norm (x, scale, bias, groups, eps).

    Where it is quicker as a whole, also the downsampling segment (images, parameters, groups, eps).
    """

    convolution: Callable[..., Any]
    group_norm: Callable[..., Any]
    downsampling: Callable[..., Any] | None = None


LIBRARY = Kernels(convolution.library, normalization.group_norm)
"""XLA's convolution: cuDNN on a GPU."""

MATMUL = Kernels(convolution.matmul, normalization.group_norm, downsampling)
"""Matrix products: for a CPU."""

ANY_MODE = Kernels(convolution.matmul_any_mode, normalization.group_norm_any_mode)
"""Matrix products without gradients of their own: for implicit solvers, which differentiate in forward mode."""


def choose_kernels(*, forward_mode: bool = False) -> Kernels:
    """The quickest kernels for the default backend that offer the derivatives asked for."""
    if forward_mode:
        return ANY_MODE
    return MATMUL if jax.default_backend() == "cpu" else LIBRARY
