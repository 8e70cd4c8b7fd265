"""The choice of implementation of convolution and group norm.

It depends on backend, precision and the derivatives needed.

| name | implementation | chosen for |
|---|---|---|
| native | C++ (`jaxode.nn.native`), matmul for what does not fit | a CPU, where it was built |
| matmul | matrix products | a CPU otherwise |
| plain | XLA's own convolution: cuDNN's on a GPU | every other backend |
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxode.checks import ConfigError
from jaxode.config import KernelsName, Precision
from jaxode.nn import convolution, native, normalization
from jaxode.nn.convolution import Inputs, Outputs
from jaxode.nn.downsampling import Segment, downsampling
from jaxode.nn.native import chain, layers, segment
from jaxode.nn.normalization import Channels
from jaxode.types import Images, Kernel, Maps

Convolution = Callable[[Inputs, Kernel, int, int], Outputs]
"""(x, kernel, stride, padding) → maps."""

GroupNorm = Callable[[Maps, Channels, Channels, int, float], Maps]
"""(x, scale, bias, groups, eps) → maps."""

Downsampling = Callable[[Images, Segment, int, float], Maps]
"""(images, parameters, groups, eps) → maps."""

Chain = Callable[
    [chain.Times | None, Maps, tuple[chain.Unit, ...], chain.Tail | None, chain.Settings], Maps
]
"""(times, maps, units, tail, settings) → maps."""


class Kernels(NamedTuple):
    """Implementations of the layers, and of sequences of layers that are quicker when fused."""

    convolution: Convolution
    group_norm: GroupNorm
    downsampling: Downsampling | None = None
    """The downsampling segment (`jaxode.nn.downsampling`), if fused."""
    chain: Chain | None = None
    """A chain of pre-activation units (`jaxode.nn.native.chain`), if fused."""


LIBRARY = Kernels(convolution.library, normalization.group_norm)
"""XLA's convolution: cuDNN on a GPU."""

LIBRARY_TF32 = Kernels(convolution.library_tf32, normalization.group_norm)
"""XLA's convolution in TF32 where the device has it."""

MATMUL = Kernels(convolution.matmul, normalization.group_norm, downsampling)
"""Matrix products, for a CPU."""

NATIVE = Kernels(layers.convolution, layers.group_norm, segment.downsampling, chain.chain)
"""C++, for a CPU and float32."""

ANY_MODE = Kernels(convolution.matmul_any_mode, normalization.group_norm_any_mode)
"""Matrix products without custom gradients, for implicit solvers, which differentiate in forward
mode."""


def _portable_convolution(x: Inputs, kernel: Kernel, stride: int, padding: int) -> Outputs:
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: convolution.matmul_any_mode(x, kernel, stride, padding),
        default=lambda x, kernel: convolution.library(x, kernel, stride, padding),
    )


PORTABLE = Kernels(_portable_convolution, normalization.group_norm_any_mode)
"""For a program that is exported for several platforms and chooses when it runs."""


VARIABLE = "JAXODE_KERNELS"
"""Environment variable that chooses kernels for the setting "auto"."""


def kernels_name(requested: KernelsName = "auto", precision: Precision = "float32") -> KernelsName:
    """Name of the kernels that run on the default backend.

    Args:
      requested: a run's setting; "auto" is resolved by the environment variable JAXODE_KERNELS, and
        without it by backend and precision. JAXODE_KERNELS=native is a preference: a precision
        other than float32 has matrix products, where the setting "native" is an error.
      precision: of the convolutions; the native kernels are for float32.

    Returns:
      "native", "matmul" or "plain".

    Raises:
      ConfigError: the native kernels are requested by name and cannot be used, with the reason; or
        the environment variable has an unknown value.
    """
    fits = precision == "float32"
    if requested == "native" and not fits:
        raise ConfigError(f"kernels native are for precision float32, got precision {precision}")
    names = get_args(KernelsName)
    if requested == "auto":
        requested = os.environ.get(VARIABLE, "auto")  # type: ignore[assignment]
        if requested not in names:
            raise ConfigError(f"{VARIABLE} must be one of {', '.join(names)}, got {requested!r}")
    on_cpu = jax.default_backend() == "cpu"
    if requested == "native":
        if not on_cpu:
            raise ConfigError(
                f"kernels native are for a CPU, and JAX computes on {jax.default_backend()}"
            )
        if not native.load():
            raise ConfigError(f"kernels native cannot be used: {native.unavailable_reason()}")
        return "native" if fits else "matmul"
    if requested == "auto":
        return ("native" if fits and native.load() else "matmul") if on_cpu else "plain"
    return requested


def choose_kernels(
    precision: Precision = "float32",
    *,
    forward_mode: bool = False,
    requested: KernelsName = "auto",
) -> Kernels:
    """The quickest kernels of the default backend for a precision and kind of derivative.

    Args:
      precision: of the convolutions.
      forward_mode: whether the field is differentiated in forward mode, as implicit solvers do.
      requested: kernels by name; see `kernels_name`.

    Raises:
      ConfigError: see `kernels_name`.
    """
    name = kernels_name(requested, precision)
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

    Arguments, result and the sums inside are float32 (cuDNN's sums too). The three products of a
    layer and its gradient have 16-bit factors, and the tape stores half as many bytes. Torch's
    autocast rounds likewise.

    Args:
      convolve: a convolution for any floating-point type.
      precision: "bfloat16" or "float16".
    """
    dtype = jnp.dtype(precision)

    def convolution(x: Inputs, kernel: Kernel, stride: int, padding: int) -> Outputs:
        return convolve(x.astype(dtype), kernel.astype(dtype), stride, padding).astype(x.dtype)

    return convolution


def has_tf32() -> bool:
    """Whether the default device multiplies in TF32: NVIDIA's of compute capability 8.0 or more."""
    capability = str(getattr(jax.devices()[0], "compute_capability", ""))
    major = capability.partition(".")[0]
    return major.isdigit() and int(major) >= 8
