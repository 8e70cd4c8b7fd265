"""Weights, outputs, gradients and running statistics of two runs, compared within the bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxode.parity.bounds import BOUNDS, Bound
from jaxode.parity.calls import Solve
from jaxode.parity.comparison import aligned_error, relative_error
from jaxode.parity.findings import Comparison, SolveComparison
from jaxode.parity.layouts import arranged, arranged_input
from jaxode.parity.links import Link
from jaxode.parity.nnx_run import NnxRun
from jaxode.parity.torch_run import TorchRun

BIASED = "but for n/(n - 1): PyTorch keeps the unbiased variance, Flax the biased one"


@dataclass(frozen=True)
class Judge:
    """Compares two runs.

    Args:
      module: of PyTorch, for the momentum of its norms.
      theirs: run of the PyTorch module.
      ours: run of the nnx module.
      links: which weight is which.
      layout: of the nnx module's inputs.
      dtype: in which both sides computed.
    """

    module: Any
    theirs: TorchRun
    ours: NnxRun
    links: Sequence[Link]
    layout: str
    dtype: str

    def bound(self, quantity: str) -> Bound:
        """The bound on "output" or "gradient"."""
        if quantity == "gradient":
            quantity = "backsolve" if self.theirs.has_adjoint else "exact"
        return BOUNDS[self.dtype, quantity]

    def comparisons(self, weights: Mapping[str, np.ndarray]) -> list[Comparison]:
        """All of them.

        Args:
          weights: of the nnx module before its run.
        """
        return [
            *self._weights(weights),
            *self._outputs(),
            *self._input_gradients(),
            *self._gradients(),
            *self._states(),
        ]

    def _weights(self, weights: Mapping[str, np.ndarray]) -> Iterator[Comparison]:
        for link in self.links:
            error = relative_error(weights[link.target], link.value(self.theirs.before))
            yield Comparison("weight", link.source, link.target, error, 0.0)

    def _outputs(self) -> Iterator[Comparison]:
        limit = self.bound("output").limit
        theirs, ours = self.theirs.outputs, self.ours.outputs
        if len(theirs) != len(ours):
            note = f"{len(theirs)} arrays of floating-point numbers against {len(ours)}"
            yield Comparison("output", "output", "output", math.inf, limit, note)
            return
        for number, (given, mine) in enumerate(zip(theirs, ours, strict=True)):
            name = f"output {number}" if len(theirs) > 1 else "output"
            found = aligned_error(
                mine, given, likely_layout(self.theirs, given, self.layout), limit
            )
            note = "" if found else f"{list(given.shape)} against {list(mine.shape)}"
            error = math.inf if found is None else found[0]
            yield Comparison("output", name, name, error, limit, note)

    def _input_gradients(self) -> Iterator[Comparison]:
        limit = self.bound("gradient").limit
        given_each, ours = self.theirs.input_gradients, self.ours.input_gradients
        scale = _norm(g for g in given_each if g is not None)
        for number, (given, mine) in enumerate(zip(given_each, ours, strict=False)):
            if given is None or mine is None:
                continue
            name = f"input {number}" if len(given_each) > 1 else "input"
            if self.layout == "given":
                found = aligned_error(mine, given, ["same"], limit, scale)
                error = math.inf if found is None else found[0]
            else:
                error = relative_error(mine, arranged_input(given, self.layout), scale)
            yield Comparison("input gradient", name, name, error, limit)

    def _gradients(self) -> Iterator[Comparison]:
        limit = self.bound("gradient").limit
        scale = _norm(self.theirs.gradients.values())
        for link in self.links:
            base = link.sources[0].name
            if base in self.theirs.gradients and link.target in self.ours.gradients:
                mine = self.ours.gradients[link.target]
                error = relative_error(mine, link.gradient(self.theirs.gradients), scale)
                yield Comparison("gradient", link.source, link.target, error, limit)

    def _states(self) -> Iterator[Comparison]:
        """Running statistics after the call, where a side changed them."""
        limit = self.bound("output").limit
        parameters = {name for name, _ in self.module.named_parameters()}
        for link in self.links:
            name = link.sources[0].name
            if name in parameters:
                continue
            expected = link.value(self.theirs.after)
            mine = self.ours.after[link.target]
            error, note = relative_error(mine, expected), ""
            if error > limit and name.endswith("running_var"):
                biased = self._biased(name)
                if biased is not None and relative_error(mine, link.rearrange(biased)) <= limit:
                    error, note = relative_error(mine, link.rearrange(biased)), BIASED
            yield Comparison("state", link.source, link.target, error, limit, note)

    def _biased(self, name: str) -> np.ndarray | None:
        """What PyTorch's running variance would be if it kept the biased variance."""
        owner = name.removesuffix("running_var").rstrip(".")
        momentum = getattr(self.module.get_submodule(owner), "momentum", None)
        calls = self.theirs.calls.by_name.get(owner, [])
        if momentum is None or len(calls) != 1 or not calls[0].inputs:
            return None
        before, after = self.theirs.before[name], self.theirs.after[name]
        count = calls[0].inputs[0].size // len(before)
        kept = (1 - momentum) * before
        return kept + (after - kept) * (count - 1) / count

    def solves(self) -> list[SolveComparison]:
        """Solves of both sides: the latest of each field, for ours are known of the latest."""
        latest: dict[str, Solve] = {each.name: each for each in self.theirs.solves}
        ours: list[Solve | None] = [*self.ours.solves]
        if len(ours) == len(self.theirs.solves):
            pairs = zip(self.theirs.solves, ours, strict=True)
        elif len(ours) == len(latest):
            pairs = zip(latest.values(), ours, strict=True)
        else:
            pairs = zip(self.theirs.solves, [None] * len(self.theirs.solves), strict=True)
        return [SolveComparison(*pair) for pair in pairs]


def _norm(arrays: Any) -> float:
    """‖·‖₂ of all numbers together."""
    return math.sqrt(sum(float(np.sum(np.square(array))) for array in arrays))


def likely_layout(theirs: TorchRun, array: np.ndarray, layout: str) -> list[str]:
    """The layout of an output: that of the inputs if it has as many axes as one of them."""
    same = any(array.ndim == each.ndim for each in theirs.inputs)
    return [layout] if same and layout != "given" else ["same"]


def fitted_cotangents(
    theirs: TorchRun, outputs: Sequence[np.ndarray], layout: str, limit: float
) -> list[np.ndarray] | None:
    """The cotangents in the layouts of the nnx module's outputs; None if the shapes do not fit."""
    if len(outputs) != len(theirs.outputs):
        return None
    found = []
    for mine, given, cotangent in zip(outputs, theirs.outputs, theirs.cotangents, strict=True):
        aligned = aligned_error(mine, given, likely_layout(theirs, given, layout), limit)
        if aligned is None:
            return None
        found.append(arranged(cotangent, aligned[1]))
    return found
