"""What torchdiffeq's solves cost: evaluations and steps, counted while they run."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jaxode.parity.calls import Solve


@dataclass
class _Count:
    field: Any
    backward: bool
    evaluations: int = 0
    steps: int = 0
    accepted: int | None = None


@dataclass
class SolveCounter:
    """Counts the solves of a PyTorch run.

    Args:
      backward: whether the run is in its backward pass.
      depth: how many evaluations of a vector field are under way.
    """

    backward: bool = False
    depth: int = 0
    _counts: list[_Count] = field(default_factory=list)

    def watch(self, func: Any, inner: Any) -> None:
        """Count the evaluations and steps of a solve that begins.

        Args:
          func: the vector field as torchdiffeq was given it.
          inner: the module that its solver calls, with torchdiffeq's callbacks.
        """
        while hasattr(func, "base_func"):
            func = func.base_func
        count = _Count(func, self.backward)
        self._counts.append(count)

        def begins(*_: Any) -> None:
            count.evaluations += 1
            self.depth += 1

        def ends(*_: Any) -> None:
            self.depth -= 1

        inner.register_forward_pre_hook(begins)
        inner.register_forward_hook(ends)
        for event, name in (("callback_step", "steps"), ("callback_accept_step", "accepted")):
            setattr(inner, event, _counting(count, name, getattr(inner, event)))

    def solves(self, names: dict[int, str]) -> list[Solve]:
        """What each forward solve cost, in their order.

        Args:
          names: of the modules, by id.
        """
        found = []
        for count in self._counts:
            if not count.backward:
                name = names.get(id(count.field), type(count.field).__name__)
                # Solvers with fixed steps accept all of them, and report none of it.
                accepted = count.steps if count.accepted is None else count.accepted
                rejected = count.steps - accepted
                found.append(Solve(name, count.evaluations, accepted, rejected))
        backward = [count.evaluations for count in self._counts if count.backward]
        if len(found) == 1 and backward:  # one for each interval between two output times
            found = [dataclasses.replace(found[0], backward=sum(backward))]
        elif len(backward) == len(found):  # the last forward solve is the first that is gone back
            found = [
                dataclasses.replace(each, backward=evaluations)
                for each, evaluations in zip(found, reversed(backward), strict=True)
            ]
        return found

    @property
    def has_adjoint(self) -> bool:
        """Whether a gradient came from a backward solve."""
        return any(count.backward for count in self._counts)


def _counting(count: _Count, name: str, before: Callable[..., Any]) -> Callable[..., Any]:
    def callback(*args: Any) -> Any:
        setattr(count, name, (getattr(count, name) or 0) + 1)
        return before(*args)

    return callback


@contextmanager
def counted_solves() -> Iterator[SolveCounter]:
    """Count torchdiffeq's solves; without torchdiffeq there are none to count."""
    counter = SolveCounter()
    try:
        # By name: the package's attribute `odeint` is the function, not the module.
        solver: Any = importlib.import_module("torchdiffeq._impl.odeint")
        original = solver._check_inputs
    except (ImportError, AttributeError):
        yield counter
        return

    def checked(func: Any, *args: Any, **options: Any) -> Any:
        found = original(func, *args, **options)
        counter.watch(func, found[1])
        return found

    # Every solve, that of an adjoint included, passes through this function once; users import
    # `odeint` by name, so that replacing it would miss their calls.
    solver._check_inputs = checked
    try:
        yield counter
    finally:
        solver._check_inputs = original
