"""Kernels in C++ for a CPU, called by XLA: Winograd convolutions fused with norms (`cpp/`).

An optional part of the build. `load` returns whether they can be used in this process,
`unavailable_reason` why not; `jaxode.nn.kernels` chooses.
"""

from jaxode.nn.native.loading import load, unavailable_reason

__all__ = ["load", "unavailable_reason"]
