"""The benchmark's arithmetic and its rows; no time is asserted."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
import torch

from jaxode.config import GRADIENT_FACTS
from jaxode.nn.kernels import kernels_name
from scripts import benchmark
from scripts.bench import jax_side, stock, torch_side
from scripts.bench.cases import JAXODE, PRODUCTS, SAME, STOCK, Case, cases, quick_cases
from scripts.bench.comparison import disagreement
from scripts.bench.measure import make, measure
from scripts.bench.rows import FAILED, MEASURED, NOT_COMPARED
from scripts.bench.sides import Outcome, pose
from scripts.bench.timing import in_turn, ratios, spread
from scripts.parity.measure import relative, their_settings

SMALL = Case("test", batch=2, width=4, runs=1)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small work, and perhaps other tests beside it: torch's threads would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Clock:
    """A clock that only work moves on, and a diary of the work."""

    def __init__(self):
        self.now, self.diary = 0.0, []

    def __call__(self):
        return self.now

    def work(self, name, *seconds):
        left = list(seconds)

        def call():
            self.diary.append(name)
            self.now += left.pop(0)

        return call


def test_rounds_alternate_and_the_warm_up_is_not_timed():
    clock = Clock()
    calls = {"a": clock.work("a", 100, 1, 2, 3), "b": clock.work("b", 200, 2, 6, 3)}
    seconds, failures = in_turn(calls, 3, clock=clock, rest=lambda _: None)
    assert seconds == {"a": [1, 2, 3], "b": [2, 6, 3]}
    assert not failures
    assert "".join(clock.diary) == "baabbaab"
    assert spread(ratios(seconds["b"], seconds["a"])) == (2, 1, 3)


def test_the_rest_between_calls_is_not_timed():
    clock = Clock()
    seconds, _ = in_turn(
        {"a": clock.work("a", 1, 1)}, 1, clock=clock, rest=lambda _: clock.work("rest", 9)()
    )
    assert seconds == {"a": [1]}


def test_a_call_that_fails_is_given_up_and_the_others_go_on():
    clock = Clock()

    def fail():
        raise MemoryError("no room\nfor this")

    seconds, failures = in_turn(
        {"a": fail, "b": clock.work("b", 1, 2)}, 1, clock=clock, rest=lambda _: None
    )
    assert seconds == {"b": [2]}
    assert failures == {"a": "MemoryError: no room"}


def test_every_gradient_mode_has_a_case_and_names_are_unique():
    for found in (list(cases()), list(quick_cases())):
        assert len({case.name for case in found}) == len(found)
    assert {case.gradient for case in cases() if case.group == "gradient"} == set(GRADIENT_FACTS)


def test_low_precision_is_measured_on_a_gpu_alone():
    more = list(cases(gpu=True))
    assert len({case.name for case in more}) == len(more)
    names = {case.name for case in cases()}
    added = [case for case in more if case.name not in names]
    assert {case.group for case in added} == {"arithmetic"}
    assert {case.precision for case in added} == {"float32", "tf32", "bfloat16"}
    assert not any(PRODUCTS in case.rivals for case in more)  # the native kernels are for a CPU


def test_the_native_kernels_are_measured_beside_matrix_products():
    beside = [case for case in cases() if PRODUCTS in case.rivals]
    assert {(case.group, case.work) for case in beside} >= {
        ("gradient", "training"),
        ("inference", "inference"),
        ("resnet", "training"),
        ("resnet", "inference"),
    }
    case = replace(SMALL, width=8, work="inference")
    problem = pose(case)
    ours, products = (make(case, problem, side) for side in (JAXODE, PRODUCTS))
    assert relative([ours.outcome.output], [products.outcome.output]) < 1e-5
    rows = measure(
        replace(case, rivals=(PRODUCTS,)),
        1,
        1,
        lambda c, p, side: ours if side == JAXODE else products,
    )
    assert [row.kernels for row in rows] == [kernels_name(), "matmul"]
    assert all(row.gflops > 0 and 0 < row.ceiling_share < 1 for row in rows)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_torch_may_use_tf32_where_it_is_requested(precision):
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    with benchmark.same_arithmetic(precision):
        assert {backend.allow_tf32 for backend in backends} == {precision == "tf32"}
    assert [backend.allow_tf32 for backend in backends] == before


def test_torch_computes_bfloat16_convolutions_and_keeps_the_state():
    case = replace(SMALL, work="inference")
    problem = pose(case)
    full, low = (
        torch_side.ready(replace(case, precision=name), problem, SAME)
        for name in ("float32", "bfloat16")
    )
    assert 1e-4 < relative([low.outcome.output], [full.outcome.output]) < 2e-2
    model = torch_side.model_of(replace(case, precision="bfloat16"), problem, SAME)
    assert model[7](torch.ones(1, 4, 6, 6, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.fixture(scope="module")
def both():
    """A training step under backsolve on both sides."""
    case = replace(SMALL, group="gradient", gradient="backsolve", tolerance=1e-2)
    problem = pose(case)
    return case, {side: make(case, problem, side) for side in (JAXODE, SAME)}


def test_both_sides_compute_the_same_and_are_compared(both):
    case, sides = both
    rows = measure(case, 2, 1, lambda case, problem, side: sides[side])
    assert [row.status for row in rows] == [MEASURED, MEASURED]
    ours, theirs = rows
    assert ours.ratio_median is None
    assert theirs.ratio_min <= theirs.ratio_median <= theirs.ratio_max
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-4)
    assert ours.nfe_forward == theirs.nfe_forward == 2 + 6 * (ours.accepted + ours.rejected)
    # Diffrax evaluates the field once more than torchdiffeq at the start of a solve.
    assert ours.nfe_backward == theirs.nfe_backward + 1
    assert not ours.reason
    assert sides[JAXODE].steps == jax_side.STEPS
    assert sides[SAME].steps == 1
    params, loss = sides[JAXODE].run()
    assert float(loss) == pytest.approx(ours.loss, rel=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    for row in rows:
        assert row.runs == 1  # the case's own number, for it is smaller
        assert row.images_per_second == pytest.approx(1e3 * 2 / row.ms_median)
        assert row.memory_mb > 0


WRONG = {
    "loss": lambda o: replace(o, loss=1.01 * o.loss),
    "outputs": lambda o: replace(o, output=1.01 * o.output),
    "nfe forward": lambda o: replace(o, nfe_forward=o.nfe_forward + 6),
    "accepted": lambda o: replace(o, accepted=o.accepted - 1),
    "rejected": lambda o: replace(o, rejected=o.rejected + 1),
    "gradients": lambda o: replace(
        o, gradient={name: 1.2 * array for name, array in o.gradient.items()}
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_sides_that_differ_are_not_compared(both, what):
    case, sides = both
    other = replace(sides[SAME], outcome=WRONG[what](sides[SAME].outcome))
    rows = measure(case, 1, 1, lambda case, problem, side: other if side == SAME else sides[JAXODE])
    assert rows[1].status == NOT_COMPARED
    assert rows[1].reason.startswith(what)
    assert rows[1].ratio_median is None
    assert rows[1].ms_median is not None


def test_another_device_is_not_compared(both):
    case, sides = both
    other = replace(sides[SAME], device="gpu: fast")
    row = measure(case, 1, 1, lambda case, problem, side: other if side == SAME else sides[JAXODE])[
        1
    ]
    assert row.status == NOT_COMPARED
    assert "gpu: fast" in row.reason


@pytest.mark.parametrize("broken", [SAME, JAXODE])
def test_a_side_that_fails_leaves_a_row_with_its_reason(both, broken):
    case, sides = both

    def maker(case, problem, side):
        if side == broken:
            raise NotImplementedError("it cannot be differentiated")
        return sides[side]

    rows = dict(zip((JAXODE, SAME), measure(case, 1, 1, maker), strict=True))
    assert rows[broken].status == FAILED
    assert rows[broken].reason == "NotImplementedError: it cannot be differentiated"
    other = rows[SAME if broken == JAXODE else JAXODE]
    assert other.ms_median is not None
    assert other.ratio_median is None


def test_the_stock_model_is_the_same_model():
    case = replace(SMALL, tolerance=1e-5, rivals=(STOCK,))
    problem = pose(case)
    theirs = stock.ready(case, problem).outcome
    ours = torch_side.ready(case, problem, SAME).outcome
    assert theirs.loss == pytest.approx(ours.loss, rel=1e-3)
    np.testing.assert_allclose(theirs.output, ours.output, atol=1e-3)


@pytest.mark.parametrize("gradient", ["checkpointed", "backsolve"])
def test_the_same_steps_are_torchdiffeqs_defaults(gradient):
    same = their_settings(replace(SMALL, gradient=gradient).solve)
    assert not same.stop_at_ends
    assert not same.constant_first_step


def test_the_reference_is_the_same_solve_at_another_tolerance(monkeypatch):
    case = replace(SMALL, work="solve", tolerance=1e-4)
    problem = pose(case)
    same = torch_side.ready(case, problem, SAME).outcome.output
    monkeypatch.setattr(torch_side, "OUT_OF_SIGHT", 1e-4)
    assert relative([same], [torch_side.reference(case, problem)]) < 1e-4
    monkeypatch.setattr(torch_side, "OUT_OF_SIGHT", 1e-6)
    assert 1e-4 < relative([same], [torch_side.reference(case, problem)]) < 1e-1


def test_own_steps_are_compared_by_their_outputs_alone():
    ours = Outcome(np.ones(3), 1.0, nfe_forward=32, accepted=5)
    theirs = Outcome(np.full(3, 1.05), 1.05, nfe_forward=8, accepted=1)
    assert not disagreement(SMALL, STOCK, ours, theirs)
    assert disagreement(SMALL, STOCK, ours, replace(theirs, output=2 * theirs.output))
    assert disagreement(SMALL, SAME, ours, replace(ours, nfe_forward=8)) == [
        "nfe forward 8 against 32"
    ]
