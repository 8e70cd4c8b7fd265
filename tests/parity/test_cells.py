"""Every quick cell of the parity map, in float64 and float32: the same numbers, steps and
evaluations as PyTorch.
"""

from __future__ import annotations

import numpy as np
import pytest

from jaxode.nn import native
from jaxode.ode import Stats

pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

import scripts.parity.measure as measured
from scripts.parity.bounds import BOUNDS, gradient_bound
from scripts.parity.cells import Cell, cells
from scripts.parity.limits import unreachable
from scripts.parity.measure import FAIL, OUT_OF_REACH, PASS, judge, measure
from scripts.parity.subjects import our_part
from scripts.parity.training import measure_training, trainings
from torch_ref.solve import Counts

CELLS = list(cells())
TRAININGS = list(trainings())


def marked(cell):
    """A cell; slow if another, of another picture, depth or type, is nearly the same."""
    same = cell.subject.channels == 3 or cell.subject.blocks == 2 or cell.dtype == "float32"
    solved = cell.solve is not None and cell.gradient in ("replay", "backsolve seminorm")
    return pytest.param(cell, marks=pytest.mark.slow) if (same and cell.solve) or solved else cell


@pytest.mark.parametrize("cell", [marked(c) for c in CELLS if c.quick], ids=lambda c: c.name)
def test_cell(cell, x64):
    row = measure(cell)
    assert row.status == PASS, row


@pytest.mark.skipif(not native.load(), reason=native.unavailable_reason() or "built")
@pytest.mark.parametrize(
    "cell", [c for c in CELLS if c.quick and c.dtype == "float32"], ids=lambda c: c.name
)
def test_a_cell_without_the_native_kernels(cell, x64, monkeypatch):
    """In float64 they never run."""
    monkeypatch.setenv("JAXODE_KERNELS", "matmul")
    row = measure(cell)
    assert row.status == PASS, row


def marked_training(training):
    """A trajectory; slow if it is an ODENet's by its adjoint, for the exact one is trained too."""
    facts = training.solve and training.solve.gradient_facts
    slow = facts is not None and facts.backward_solve
    return pytest.param(training, marks=pytest.mark.slow) if slow else training


@pytest.mark.parametrize(
    "training", [marked_training(t) for t in TRAININGS if t.quick], ids=lambda t: t.name
)
def test_training(training, x64):
    row = measure_training(training)
    assert row.status == PASS, row


def test_the_map_is_large_and_names_every_cell_once():
    names = [cell.name for cell in CELLS] + [
        f"{t.name} {t.solve and t.solve.gradient}" for t in TRAININGS
    ]
    assert len(set(names)) == len(names) >= 200


def test_the_bounds_are_those_promised():
    promised = {"output": 1e-11, "exact": 1e-10, "backsolve": 1e-9, "training": 1e-9}
    assert {what: BOUNDS["float64", what].limit for what in promised} == promised
    assert gradient_bound("float64", "backsolve").limit == promised["backsolve"]
    assert (
        gradient_bound("float64", "checkpointed").limit
        == gradient_bound("float64", "").limit
        == promised["exact"]
    )


@pytest.mark.parametrize(("output", "gradient"), [(2e-11, 0.0), (0.0, 2e-10), (float("nan"), 0.0)])
def test_an_error_above_its_bound_fails(output, gradient):
    row = judge(Cell(CELLS[0].subject), output=output, gradient=gradient, stats=None, counts=[])
    assert row.status == FAIL
    assert "error" in row.reason


@pytest.mark.parametrize(
    ("what", "theirs"), [("steps", (7, 1, 26)), ("rejected", (6, 2, 26)), ("nfe", (6, 1, 32))]
)
def test_other_steps_fail(what, theirs):
    cell = next(cell for cell in CELLS if cell.solve and not cell.solve.step_size)
    stats = Stats(
        nfe=np.array([26]), accepted=np.array([5]), rejected=np.array([1]), failure=np.array([0])
    )
    same, other = Counts(26, 6, 1), Counts(theirs[2], *theirs[:2])
    assert judge(cell, output=0.0, gradient=0.0, stats=stats, counts=[same]).status == PASS
    row = judge(cell, output=0.0, gradient=0.0, stats=stats, counts=[other])
    assert (row.status, row.reason.split()[0]) == (FAIL, what)


def test_sides_with_other_weights_differ(x64, monkeypatch):
    def our_part_with_moved_weights(subject, solve, theirs, dtype):
        ours = our_part(subject, solve, theirs, dtype)
        ours.parameters[:] = [parameter * (1 + 1e-9) for parameter in ours.parameters]
        return ours

    monkeypatch.setattr(measured, "our_part", our_part_with_moved_weights)
    row = measure(next(cell for cell in CELLS if cell.name == "head-float64"))
    assert row.status == FAIL
    assert 1e-11 < row.output_error < 1e-8
    assert 1e-10 < row.gradient_error < 1e-8


def test_what_is_out_of_reach_says_why():
    rows = unreachable()
    assert {row.status for row in rows} == {OUT_OF_REACH}
    assert all(len(row.reason) > 20 for row in rows)
