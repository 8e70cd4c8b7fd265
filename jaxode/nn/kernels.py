"""Which implementation of convolution and group norm runs.

One choice, by backend, precision and the derivatives needed.

| name | what it is | where it is chosen |
|---|---|---|
| native | C++ (`jaxode.nn.native`), matmul for what does not fit | a CPU, where it was built |
| matmul | matrix products | a CPU otherwise |
| plain | XLA's own convolution: cuDNN's on a GPU | every other backend |
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxode.checks import ConfigError
from jaxode.config import KernelsName, Precision
from jaxode.nn import convolution, native, normalization
from jaxode.nn.convolution import Kernel
from jaxode.nn.downsampling import Segment, downsampling
from jaxode.nn.native import chain, layers, segment
from jaxode.types import Images, Maps

Convolution = Callable[[Maps, Kernel, int, int], Maps]
GroupNorm = Callable[..., Any]  # jax.custom_vjp forgets the types of what it wraps
Chain = Callable[
    [chain.Times | None, Maps, tuple[chain.Unit, ...], chain.Tail | None, chain.Settings], Maps
]


class Kernels(NamedTuple):
    """A convolution (x, kernel, stride, padding) and a group norm (x, scale, bias, groups, eps).

    Where it is quicker as a whole, also the downsampling segment (images, parameters, groups, eps)
    and a chain of pre-activation units (times, maps, units, tail, settings:
    `jaxode.nn.native.chain`).
    """

    convolution: Convolution
    group_norm: GroupNorm
    downsampling: Callable[[Images, Segment, int, float], Maps] | None = None
    chain: Chain | None = None


LIBRARY = Kernels(convolution.library, normalization.group_norm)
"""XLA's convolution: cuDNN on a GPU."""

LIBRARY_TF32 = Kernels(convolution.library_tf32, normalization.group_norm)
"""The same in TF32 where the device has it."""

MATMUL = Kernels(convolution.matmul, normalization.group_norm, downsampling)
"""Matrix products: for a CPU."""

NATIVE = Kernels(layers.convolution, layers.group_norm, segment.downsampling, chain.chain)
"""In C++, for a CPU, and for float32."""

ANY_MODE = Kernels(convolution.matmul_any_mode, normalization.group_norm_any_mode)
"""Matrix products without gradients of their own: for implicit solvers, which differentiate in
forward mode.
"""


def _portable_convolution(x: Maps, kernel: Kernel, stride: int, padding: int) -> Maps:
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: convolution.matmul_any_mode(x, kernel, stride, padding),
        default=lambda x, kernel: convolution.library(x, kernel, stride, padding),
    )


PORTABLE = Kernels(_portable_convolution, normalization.group_norm_any_mode)
"""For a program that is exported for several platforms and makes the choice on each of them."""


VARIABLE = "JAXODE_KERNELS"
"""Environment variable that chooses kernels where a run's settings leave the choice."""


def kernels_name(wanted: KernelsName = "auto", precision: Precision = "float32") -> KernelsName:
    """Name of the kernels that run on the default backend.

    Args:
      wanted: a run's setting; "auto" leaves the choice to JAXODE_KERNELS, and then to backend and
        precision. JAXODE_KERNELS=native is a preference: a precision other than float32 takes
        matrix products, while the setting "native" is refused with it.
      precision: the native kernels are for float32.

    Raises:
      ConfigError: the native kernels are asked for by name and cannot be used here; the reason is
        said. Or the environment variable names no kernels.
    """
    fits = precision == "float32"
    if wanted == "native" and not fits:
        raise ConfigError(f"kernels native are for precision float32, got precision {precision}")
    names = get_args(KernelsName)
    if wanted == "auto":
        wanted = os.environ.get(VARIABLE, "auto")  # type: ignore[assignment]
        if wanted not in names:
            raise ConfigError(f"{VARIABLE} must be one of {', '.join(names)}, got {wanted!r}")
    on_cpu = jax.default_backend() == "cpu"
    if wanted == "native":
        if not on_cpu:
            raise ConfigError(
                f"kernels native are for a CPU, and JAX computes on {jax.default_backend()}"
            )
        if not native.load():
            raise ConfigError(f"kernels native cannot be used: {native.unavailable_reason()}")
        return "native" if fits else "matmul"
    if wanted == "auto":
        return ("native" if fits and native.load() else "matmul") if on_cpu else "plain"
    return wanted


def choose_kernels(
    precision: Precision = "float32", *, forward_mode: bool = False, wanted: KernelsName = "auto"
) -> Kernels:
    """The quickest kernels for the default backend with this precision and these derivatives.

    Args:
      precision: of the convolutions.
      forward_mode: whether the field is differentiated in forward mode, as implicit solvers do.
      wanted: kernels by name; see `kernels_name`.

    Raises:
      ConfigError: see `kernels_name`.
    """
    name = kernels_name(wanted, precision)
    if name in ("native", "matmul"):
        kernels = ANY_MODE if forward_mode else NATIVE if name == "native" else MATMUL
    else:
        kernels = LIBRARY_TF32 if precision == "tf32" else LIBRARY
        if forward_mode:
            kernels = kernels._replace(group_norm=ANY_MODE.group_norm)
    if precision in ("bfloat16", "float16"):
        return Kernels(rounded(kernels.convolution, precision), kernels.group_norm)
    return kernels


@functools.cache  # one function for one type, so that equal models are equal
def rounded(convolve: Convolution, precision: Precision) -> Convolution:
    """A convolution whose inputs and result, and their cotangents, are rounded to a 16-bit type.

    What comes in and goes out is float32; sums inside are as well (cuDNN's too). So the three
    products of a layer and its gradient are 16-bit ones, and what the tape keeps of it takes half
    the memory. Torch's autocast rounds alike.
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
