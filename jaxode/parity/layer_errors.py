"""How far the outputs of each layer are apart, and the first that differs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxode.parity.bounds import BOUNDS
from jaxode.parity.calls import Call, Calls
from jaxode.parity.comparison import aligned_error, relative_error, same_numbers
from jaxode.parity.layouts import arranged
from jaxode.parity.pairing import Counterparts

CHANNELS_FIRST = ("conv", "conv_transpose", "norm")
"""Kinds whose maps have their channels second in PyTorch."""

SEVERAL = ("whole", "container", "recurrent")
"""Kinds that may return something else on the other side: other times, a carry."""

FLOAT32 = 1e-6
"""An error below it may come from numbers that were rounded to float32."""


@dataclass(frozen=True)
class LayerError:
    """A layer's outputs, compared.

    Args:
      theirs: dotted name of the PyTorch module; empty for the whole.
      ours: dotted path of the nnx module; likewise.
      error: largest relative error of its outputs over its calls; infinity for other shapes.
      input_error: likewise of its inputs, in the call that is reported; None if not comparable.
      calls: how many were compared.
      number: when the reported call ended, among all calls of the PyTorch run.
      note: what there is to say.

    Example:
      >>> from jaxode.parity import LayerError
      >>> LayerError("conv1", "conv1", 2e-16, 0.0, calls=1, number=0).error
      2e-16
    """

    theirs: str
    ours: str
    error: float
    input_error: float | None
    calls: int
    number: int
    note: str = ""


@dataclass(frozen=True)
class LayerComparison:
    """Compares calls.

    Args:
      theirs: calls of the PyTorch modules.
      ours: calls of the nnx modules.
      layout: in which the inputs were given to the nnx module.
      input_axes: how many axes the module's first input has.
      limit: up to which outputs agree.
      flattened: by PyTorch's name, what a linear layer reads flattened.
    """

    theirs: Calls
    ours: Calls
    layout: str
    input_axes: int
    limit: float
    flattened: dict[str, tuple[int, ...]]

    def layer_errors(self, modules: Sequence[Counterparts]) -> list[LayerError]:
        """The errors of the modules that were called on both sides, in PyTorch's order."""
        found = [error for each in modules if (error := self._compared(each)) is not None]
        return sorted(found, key=lambda each: self.theirs.by_name[each.theirs][0].number)

    def _compared(self, pair: Counterparts) -> LayerError | None:
        theirs = self.theirs.by_name.get(pair.theirs, [])
        ours = self.ours.by_name.get(pair.ours, [])
        # Solvers evaluate a field in an order of their own after the first time.
        in_solve = bool(theirs) and theirs[0].in_solve
        calls = 1 if in_solve or len(theirs) != len(ours) else len(theirs)
        errors = [
            (error, t, o)
            for t, o in list(zip(theirs, ours, strict=False))[:calls]
            if (error := self._outputs(pair, t, o)) is not None
        ]
        if not errors:
            return None
        differing = [each for each in errors if each[0] > self.limit]
        error, their_call, our_call = differing[0] if differing else max(errors, key=lambda e: e[0])
        return LayerError(
            pair.theirs,
            pair.ours,
            max(each[0] for each in errors),
            self._inputs(pair, their_call, our_call),
            len(errors),
            their_call.number,
            self._note(pair, their_call, our_call, error),
        )

    def _preferred(self, pair: Counterparts, array: np.ndarray) -> list[str]:
        if pair.kind in CHANNELS_FIRST:
            return ["channels_last"]
        return [self.layout] if array.ndim == self.input_axes else ["same"]

    def _outputs(self, pair: Counterparts, theirs: Call, ours: Call) -> float | None:
        """The larger error of the outputs; None where they cannot be compared."""
        scale = float(np.sqrt(np.mean(theirs.inputs[0] ** 2))) if theirs.inputs else 0.0
        if theirs.inputs and not theirs.inputs[0].size:
            return None

        def error(mine: np.ndarray, given: np.ndarray) -> float | None:
            size = scale * math.sqrt(given.size)
            found = aligned_error(mine, given, self._preferred(pair, given), self.limit, size)
            return None if found is None else found[0]

        if len(theirs.outputs) == len(ours.outputs):
            each = [error(o, t) for o, t in zip(ours.outputs, theirs.outputs, strict=True)]
            if None not in each and each:
                return max(e for e in each if e is not None)
        if not theirs.outputs or not ours.outputs:
            return None
        # One side returns more, a carry or attention weights say: the first that fits.
        first = theirs.outputs[0]
        fits = (e for o in ours.outputs if (e := error(o, first)) is not None)
        found = next(fits, None)
        same_size = any(o.size == first.size for o in ours.outputs)
        if found is None and pair.kind not in SEVERAL and not same_size:
            return math.inf
        return found

    def _inputs(self, pair: Counterparts, theirs: Call, ours: Call) -> float | None:
        # Attention of a sequence to itself is given it three times, or once.
        same = len(theirs.inputs) == len(ours.inputs) or pair.kind == "attention"
        if not same or pair.kind == "recurrent":
            return None
        errors = []
        for mine, given in zip(ours.inputs, theirs.inputs, strict=False):
            if pair.theirs in self.flattened and given.ndim == 2:
                shape = self.flattened[pair.theirs]
                moved = arranged(given.reshape(len(given), *shape), "channels_last")
                given = moved.reshape(len(given), -1)
            found = aligned_error(mine, given, self._preferred(pair, given), self.limit)
            errors.append(math.inf if found is None else found[0])
        return max(errors, default=None)

    def _note(self, pair: Counterparts, theirs: Call, ours: Call, error: float) -> str:
        """A likely cause that the numbers themselves show."""
        if error <= self.limit or not (theirs.inputs and ours.inputs and theirs.outputs):
            return ""
        if math.isinf(error) and theirs.outputs and ours.outputs:
            ends = [list(call.outputs[0].shape) for call in (theirs, ours)]
            return f"its output is {ends[0]} in PyTorch and {ends[1]} in nnx"
        given, mine = theirs.inputs[0], ours.inputs[0]
        linear = pair.kind == "linear" and pair.theirs not in self.flattened
        moved = given.shape == mine.shape and relative_error(mine, given) > self.limit
        if linear and moved and same_numbers(mine, given, self.limit):
            return (
                "its inputs are the same numbers in another order, as of a flattened map with its"
                f' channels last: pass flattened={{"{pair.theirs}": (channels, height, width)}}'
            )
        if self.limit < error < FLOAT32 and self.limit < BOUNDS["float32", "output"].limit:
            return "of the size of float32's rounding: is something computed in float32?"
        return ""
