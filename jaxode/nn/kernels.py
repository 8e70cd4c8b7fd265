"""Which implementation of convolution and group norm runs: one choice, by backend, precision and derivatives needed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxode.config import Precision
from jaxode.nn import convolution, normalization
from jaxode.nn.convolution import Kernel
from jaxode.nn.downsampling import downsampling
from jaxode.types import Maps


class Kernels(NamedTuple):
    """A convolution (x, kernel, stride, padding) and a group norm (x, scale, bias, groups, eps).

    Where it is quicker as a whole, also the downsampling segment (images, parameters, groups, eps).
    """

    convolution: Callable[..., Any]
    group_norm: Callable[..., Any]
    downsampling: Callable[..., Any] | None = None


LIBRARY = Kernels(convolution.library, normalization.group_norm)
"""XLA's convolution: cuDNN on a GPU."""

LIBRARY_TF32 = Kernels(convolution.library_tf32, normalization.group_norm)
"""The same in TF32 where the device has it."""

MATMUL = Kernels(convolution.matmul, normalization.group_norm, downsampling)
"""Matrix products: for a CPU."""

ANY_MODE = Kernels(convolution.matmul_any_mode, normalization.group_norm_any_mode)
"""Matrix products without gradients of their own: for implicit solvers, which differentiate in forward mode."""


def choose_kernels(precision: Precision = "float32", *, forward_mode: bool = False) -> Kernels:
    """The quickest kernels for the default backend in this precision that offer the derivatives asked for."""
    if jax.default_backend() == "cpu":
        kernels = ANY_MODE if forward_mode else MATMUL
    else:
        kernels = LIBRARY_TF32 if precision == "tf32" else LIBRARY
        if forward_mode:
            kernels = kernels._replace(group_norm=ANY_MODE.group_norm)
    if precision in ("bfloat16", "float16"):
        return Kernels(rounded(kernels.convolution, precision), kernels.group_norm)
    return kernels


@functools.cache  # one function for one type, so that equal models are equal
def rounded(convolve: Callable[..., Maps], precision: Precision) -> Callable[..., Maps]:
    """A convolution whose inputs and result, and their cotangents, are rounded to a 16-bit type.

    What comes in and goes out is float32; sums inside are as well (cuDNN's too). So the three products of a layer and
    its gradient are 16-bit ones, and what the tape keeps of it takes half the memory. Torch's autocast rounds alike.
    """
    dtype = jnp.dtype(precision)

    def convolution(x: Maps, kernel: Kernel, stride: int, padding: int) -> Maps:
        return convolve(x.astype(dtype), kernel.astype(dtype), stride, padding).astype(x.dtype)

    return convolution


def has_tf32() -> bool:
    """Whether the default device multiplies in TF32: NVIDIA's from compute capability 8.0 on."""
    capability = str(getattr(jax.devices()[0], "compute_capability", ""))
    major = capability.partition(".")[0]
    return major.isdigit() and int(major) >= 8
