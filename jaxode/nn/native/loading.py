"""Imports the module built for this processor and registers its handlers with XLA."""

from __future__ import annotations

import ctypes
import functools
import importlib
import platform
import sys
from pathlib import Path
from types import ModuleType

import jax
from jaxtyping import Array

from jaxode.ode import allocation

PREFIX = "jaxode_native_"
"""Prefix of the handlers' names, which are global in a process."""

PF_AVX2_INSTRUCTIONS_AVAILABLE = 40
"""Windows' number for AVX2 (processthreadsapi.h)."""

HINT = (
    "install a C++ compiler (GCC or Clang) and then jaxode once more: pip install --force-reinstall"
    " --no-deps ."
)


def processor_flags() -> frozenset[str]:
    """The processor's features, by Linux's names; empty where they are unknown."""
    if sys.platform == "win32":
        avx2 = ctypes.windll.kernel32.IsProcessorFeaturePresent(PF_AVX2_INSTRUCTIONS_AVAILABLE)
        return frozenset(("avx2", "fma")) if avx2 else frozenset()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def candidates() -> list[str]:
    """Names of the modules that this processor can run, the quickest first."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ["_native"]
    flags = processor_flags()
    required = {
        "_avx512": {"avx512f", "avx512vl", "avx512dq", "avx512bw", "fma"},
        "_avx2": {"avx2", "fma"},
    }
    return [name for name, needs in required.items() if needs <= flags]


@functools.cache
def _loaded() -> tuple[ModuleType | None, str]:
    """The module with its handlers registered and an empty text; or None and the reason."""
    names = candidates()
    if not names:
        return None, "the native kernels need a processor with AVX2 and FMA"
    for name in names:
        try:
            module = importlib.import_module(f"{__package__}.{name}")
        except ImportError:
            continue
        try:
            for target, capsule in module.targets().items():
                jax.ffi.register_ffi_target(PREFIX + target, capsule, platform="cpu")
        except Exception as error:  # XLA's own types: it compares the versions of its interface
            return (
                None,
                (
                    f"jaxlib does not take the native kernels ({str(error).splitlines()[0]}); build"
                    " them anew"
                ),
            )
        allocation.register("cpu", uninitialized)
        return module, ""
    return None, f"the native kernels were not built; {HINT}"


def uninitialized(like: jax.ShapeDtypeStruct) -> Array:
    """An uninitialised array of a shape and type, in large pages where the system has them."""
    return jax.ffi.ffi_call(f"{PREFIX}uninitialized", like)()


def load() -> bool:
    """Whether the native kernels can be used in this process; the first call registers them."""
    return _loaded()[0] is not None


def unavailable_reason() -> str:
    """Why the native kernels cannot be used, and what to do; empty if they can."""
    return _loaded()[1]


def vector_width() -> int:
    """Floats in a vector of the module in use: 16 (AVX-512), 8 (AVX2), 4 (NEON), 0 (none)."""
    module = _loaded()[0]
    return 0 if module is None else module.lanes
