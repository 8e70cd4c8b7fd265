"""How much arithmetic a call does, and the most that the processor does.

That is what bounds a row of the benchmark.

Counted are the multiplications and additions of the convolutions, as if each were computed by its
definition; norms, stage sums and the head are a few hundredths of them. The native kernels do fewer
(Lavin and Gray 2016): `done` is what they do of it.
"""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

import torch

from jaxode.config import KernelsName
from scripts.bench.cases import Case
from scripts.bench.sides import Outcome

SIZE, RUNS = 2048, 7
"""Of the matrix product whose speed stands for the processor's ceiling, and how often it is timed.
"""


EVALUATED_AGAIN = ("checkpointed", "replay")
"""Gradient modes that evaluate the whole field once more on the way back."""


class Layer(NamedTuple):
    """A convolution of one image: its operations, and the share that native kernels do."""

    operations: float
    native: float


def _layer(side: int, taps: int, inner: int, outer: int, native: float = 1.0) -> Layer:
    return Layer(2.0 * side**2 * taps**2 * inner * outer, native)


def _tiles(side: int, tile: int) -> int:
    return (-(-side // tile)) ** 2


def _strided(side: int, width: int) -> Layer:
    """A 4x4 convolution of stride 2 as four 2x2 ones by Winograd's method.

    F(2x2, 2x2) or F(3x3, 2x2), whichever takes fewer products.
    """
    products = 4 * min(9 * _tiles(side, 2), 16 * _tiles(side, 3))
    return _layer(side, 4, width, width, products / (16 * side**2))


def stem(case: Case) -> tuple[Layer, Layer, Layer]:
    """The downsampling's convolutions."""
    side = case.image_shape[0] - 2
    first = _layer(side, 3, case.channels, case.width)
    middle = (side - 2) // 2 + 1
    return first, _strided(middle, case.width), _strided((middle - 2) // 2 + 1, case.width)


def field(case: Case) -> Layer:
    """Both 3x3 convolutions of a field or a residual block, by F(2x2, 3x3)."""
    side = ((case.image_shape[0] - 4) // 2 + 1 - 2) // 2 + 1
    one = _layer(side, 3, case.width, case.width, 16 * _tiles(side, 2) / (9 * side**2))
    return Layer(2 * one.operations, one.native)


def operations(
    case: Case, outcome: Outcome, kernels: KernelsName | None
) -> tuple[float, float] | None:
    """Operations of a call, by the definition and as done; None where evaluations were not counted.

    Args:
      case: what is computed.
      outcome: with the numbers of steps and evaluations.
      kernels: of jaxode's side; None for PyTorch's, which computes by the definition.
    """
    training, block = case.work == "training", field(case)
    if not case.solves:
        evaluations = case.blocks * (3.0 if training else 1.0)
    else:
        evaluations = _evaluations(case, outcome)
        if evaluations is None:
            return None
    parts = [(block, evaluations)]
    if case.work != "solve":
        first, *others = stem(case)
        # Images have no gradient; native kernels compute the first map once more.
        again = 1.0 if kernels == "native" else 0.0
        parts += [
            (first, 2.0 + again if training else 1.0),
            *((layer, 3.0 if training else 1.0) for layer in others),
        ]
    whole = sum(layer.operations * times for layer, times in parts)
    done = sum(layer.operations * layer.native * times for layer, times in parts)
    return case.batch * whole, case.batch * (done if kernels == "native" else whole)


def _evaluations(case: Case, outcome: Outcome) -> float | None:
    """Evaluations of the field, one of its pullback counted as two."""
    if outcome.nfe_forward is None or outcome.accepted is None:
        return None
    if case.work != "training":
        return outcome.nfe_forward
    if case.backward_solve:
        return (
            None if outcome.nfe_backward is None else outcome.nfe_forward + 3 * outcome.nfe_backward
        )
    # dopri5's accepted steps have six evaluations each, and the first of a solve one more; those
    # that chose the first step and those of rejected steps have no gradient.
    differentiated = 6 * outcome.accepted + case.blocks
    again = outcome.nfe_backward or 0 if case.mode in EVALUATED_AGAIN else 0
    return outcome.nfe_forward + 2 * differentiated + again


@functools.lru_cache(maxsize=1)
def ceiling() -> float:
    """Operations a second of PyTorch's product of two large matrices on a CPU.

    The best of several.
    """
    a, b = torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - begin)
    return 2.0 * SIZE**3 / min(times)
