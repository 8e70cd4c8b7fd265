"""The same seed and batch on 1, 2 and 8 devices, in float64: one run, or a difference that the
solver explains.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROUNDING = 1e-10


QUICK = ("adaptive, jit, 1", "adaptive, jit, 8", "fixed, jit, 1", "fixed, pmap, 8")
"""Cases of the test command; `pytest -m slow` has all."""


def measured(folder, names=()):
    out = folder / "results.json"
    program = Path(__file__).with_name("on_devices.py")
    done = subprocess.run(
        [sys.executable, program, out, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def results(tmp_path_factory, request):
    names = QUICK if "not slow" in request.config.getoption("markexpr") else ()
    return measured(tmp_path_factory.mktemp("devices"), names)


def difference(results, one, other):
    """Largest difference of the losses, over the steps that both have."""
    pairs = zip(results[one]["losses"], results[other]["losses"], strict=False)
    return max(abs(a - b) for a, b in pairs)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("adaptive, jit, 1", "adaptive, jit, 2", marks=pytest.mark.slow),
        ("adaptive, jit, 1", "adaptive, jit, 8"),
        pytest.param("fixed, jit, 1", "fixed, pmap, 2", marks=pytest.mark.slow),
        ("fixed, jit, 1", "fixed, pmap, 8"),
    ],
)
def test_fifty_steps_are_the_same(results, one, other):
    assert len(results[one]["losses"]) == len(results[other]["losses"]) == 50
    assert difference(results, one, other) < ROUNDING
    assert results[one]["test_loss"] == pytest.approx(results[other]["test_loss"], abs=ROUNDING)
    assert abs(results[one]["losses"][0] - results[one]["losses"][-1]) > 0.1  # it has trained


@pytest.mark.slow
@pytest.mark.parametrize("resident", ["adaptive, jit, 2", "fixed, pmap, 2"])
def test_streamed_batches_give_the_same_bits_on_two_devices(results, resident):
    streamed = results[f"{resident}, streamed"]["losses"]
    assert len(streamed) == 10
    assert streamed == results[resident]["losses"][:10]


@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["direct", "backsolve", "checkpointed"])
def test_every_gradient_mode_is_the_same_on_eight_devices(results, gradient):
    reference = "backsolve, jit, 1" if gradient == "backsolve" else "adaptive, jit, 1"
    assert difference(results, reference, f"{gradient}, jit, 8") < ROUNDING


@pytest.mark.slow
def test_backward_solves_are_counted_on_every_device(results):
    """Under jit one a batch, under pmap one for each device's part."""
    ways = ("jit, 1", "jit, 2", "pmap, 2, accumulate 2")
    one, two, own = (results[f"counted, {way}"]["trained"]["backward"] for way in ways)
    assert one == two
    assert (one["solves"], own["solves"]) == (5, 20)
    assert one["nfe"][0] == 5 * 2 + 3 * (one["accepted"][0] + one["rejected"][0])
    assert own["nfe"][0] == 20 * 2 + 3 * (own["accepted"][0] + own["rejected"][0])
    assert results["adaptive, jit, 1"]["trained"]["backward"] is None


@pytest.mark.slow
@pytest.mark.parametrize("divided", ["jit, 2", "pmap, 4, accumulate 2"])
def test_regularisers_draw_the_same_on_every_device(results, divided):
    assert difference(results, "regularised, jit, 1", f"regularised, {divided}") < ROUNDING
    one, other = (results[f"regularised, {how}"]["penalty"] for how in ("jit, 1", divided))
    assert one == pytest.approx(other, rel=ROUNDING)
    assert one > 0.1


@pytest.mark.slow
def test_an_exact_gradient_mode_is_the_same_where_devices_step_by_themselves(results):
    assert difference(results, "adaptive, pmap, 8", "replay, pmap, 8") < ROUNDING


@pytest.mark.slow
def test_backsolve_has_a_gradient_of_its_own(results):
    """Or the tests above would not distinguish its reference from that of the others."""
    assert difference(results, "backsolve, jit, 1", "adaptive, jit, 1") > 1e3 * ROUNDING
    assert ROUNDING < difference(results, "backsolve, jit, 1", "backsolve, pmap, 8") < 1e-2


@pytest.mark.slow
def test_the_convolutional_network_is_the_same(results):
    assert difference(results, "odenet, jit, 1", "odenet, jit, 8") < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("other", ["fixed, jit, 2, accumulate 2", "fixed, pmap, 4, accumulate 2"])
def test_parts_of_a_batch_add_up_to_it(results, other):
    assert difference(results, "fixed, jit, 1", other) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tolerance"), [("adaptive", 1e-3), ("tight", 1e-6)])
def test_own_step_sizes_differ_by_the_tolerance(results, name, tolerance):
    """Under pmap a device's norm sees its own images alone, so it takes other steps to the same
    accuracy.
    """
    first, own = (results[f"{name}, {way}"]["losses"][0] for way in ("jit, 1", "pmap, 8"))
    assert ROUNDING < abs(first - own) < tolerance
    assert (
        difference(results, f"{name}, jit, 1", f"{name}, pmap, 8") < 10 * tolerance
    )  # after five steps of training


def test_every_image_counts_once_on_any_number_of_devices(results):
    for name, found in results.items():
        assert (found["trained"]["images"], found["tested"]["images"]) == (70, 23), name
        assert (found["trained"]["batches"], found["tested"]["batches"]) == (5, 2), name
        assert (found["trained"]["bad_batch"], found["trained"]["failure"]) == (-1, 0), name
    one = results["adaptive, jit, 1"]
    for name in {"adaptive, jit, 2", "adaptive, jit, 8"} & results.keys():
        assert results[name]["trained"] == one["trained"]
        assert results[name]["tested"] == one["tested"]


def test_solves_are_counted_where_they_are_done(results):
    """Of every batch one, or one by each device or part; midpoint evaluates 2 times in 2 steps."""
    shares = {
        "fixed, jit, 1": 1,
        "fixed, pmap, 8": 8,
        "fixed, jit, 2, accumulate 2": 2,
        "fixed, pmap, 4, accumulate 2": 8,
    }
    for name in shares.keys() & results.keys():
        found, share = results[name]["trained"], shares[name]
        assert found["solves"] == 5 * share
        assert found["nfe"] == [5 * share * 4]
        assert np.sum(found["rejected"]) == 0


@pytest.mark.slow
def test_devices_exchange_what_the_report_counts(results):
    """Under jit the field's gradient is summed in every pullback and a norm is exchanged in every
    step.
    """
    joint, own = (results[f"adaptive, {mode}, 8"] for mode in ("jit", "pmap"))
    steps = joint["first"]["accepted"][0] + joint["first"]["rejected"][0]
    gradient = [row for row in joint["rows"] if row["where"] == "backward"]
    assert [(row["bytes"], row["times"]) for row in gradient] == [
        (8 * 16 * 16, 6 * joint["first"]["accepted"][0])
    ]
    norms = [row for row in joint["rows"] if row["where"] == "forward"]
    assert norms
    assert {row["times"] for row in norms} == {steps}
    assert all(row["numbers"] < 5 for row in norms)
    assert {(row["where"], row["times"]) for row in own["rows"]} == {("step", 1)}
    assert max(row["numbers"] for row in own["rows"]) >= 16 * 16 + 16 * 10 + 10
