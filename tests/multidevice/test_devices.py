"""The same seed and batch on 1, 2 and 8 devices, in float64: one run, or a difference that the solver explains."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROUNDING = 1e-10


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("devices") / "results.json"
    program = Path(__file__).with_name("on_devices.py")
    done = subprocess.run([sys.executable, program, out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def difference(results, one, other):
    """Largest difference of the losses, over the steps that both have."""
    pairs = zip(results[one]["losses"], results[other]["losses"], strict=False)
    return max(abs(a - b) for a, b in pairs)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("adaptive, jit, 1", "adaptive, jit, 2"),
        ("adaptive, jit, 1", "adaptive, jit, 8"),
        ("fixed, jit, 1", "fixed, pmap, 2"),
        ("fixed, jit, 1", "fixed, pmap, 8"),
    ],
)
def test_fifty_steps_are_the_same(results, one, other):
    assert len(results[one]["losses"]) == len(results[other]["losses"]) == 50
    assert difference(results, one, other) < ROUNDING
    assert results[one]["test_loss"] == pytest.approx(results[other]["test_loss"], abs=ROUNDING)
    assert abs(results[one]["losses"][0] - results[one]["losses"][-1]) > 0.1  # it has trained


@pytest.mark.parametrize("gradient", ["replay", "direct", "backsolve", "checkpointed"])
def test_every_gradient_mode_is_the_same_on_eight_devices(results, gradient):
    reference = "backsolve, jit, 1" if gradient == "backsolve" else "adaptive, jit, 1"
    assert difference(results, reference, f"{gradient}, jit, 8") < ROUNDING


@pytest.mark.parametrize("gradient", ["replay", "direct"])
def test_exact_gradient_modes_are_the_same_where_devices_step_by_themselves(results, gradient):
    assert difference(results, "adaptive, pmap, 8", f"{gradient}, pmap, 8") < ROUNDING


def test_backsolve_has_a_gradient_of_its_own(results):
    """Or the tests above would not tell its reference from that of the others."""
    assert difference(results, "backsolve, jit, 1", "adaptive, jit, 1") > 1e3 * ROUNDING
    assert ROUNDING < difference(results, "backsolve, jit, 1", "backsolve, pmap, 8") < 1e-2


@pytest.mark.parametrize("other", ["odenet, jit, 8", "odenet, pmap, 1"])
def test_the_convolutional_network_is_the_same(results, other):
    assert difference(results, "odenet, jit, 1", other) < ROUNDING


@pytest.mark.parametrize("other", ["fixed, jit, 2, accumulate 2", "fixed, pmap, 4, accumulate 2"])
def test_parts_of_a_batch_add_up_to_it(results, other):
    assert difference(results, "fixed, jit, 1", other) < ROUNDING


def test_own_step_sizes_differ_by_the_tolerance(results):
    """Under pmap a device's norm sees its own images alone, so it takes other steps to the same accuracy."""
    loose = difference(results, "adaptive, jit, 1", "adaptive, pmap, 8")
    tight = difference(results, "tight, jit, 1", "tight, pmap, 8")
    assert ROUNDING < loose < 1e-2
    assert tight < 1e-2 * loose


def test_every_image_counts_once_on_any_number_of_devices(results):
    for name, found in results.items():
        assert (found["trained"]["images"], found["tested"]["images"]) == (70, 23), name
        assert (found["trained"]["batches"], found["tested"]["batches"]) == (5, 2), name
        assert (found["trained"]["bad_batch"], found["trained"]["failure"]) == (-1, 0), name
    one = results["adaptive, jit, 1"]
    for name in ("adaptive, jit, 2", "adaptive, jit, 8"):
        assert results[name]["trained"] == one["trained"]
        assert results[name]["tested"] == one["tested"]


def test_solves_are_counted_where_they_are_done(results):
    """Of every batch one, or one by each device or part; midpoint takes 2 steps of 2 evaluations."""
    shares = {
        "fixed, jit, 1": 1,
        "fixed, pmap, 8": 8,
        "fixed, jit, 2, accumulate 2": 2,
        "fixed, pmap, 4, accumulate 2": 8,
    }
    for name, share in shares.items():
        found = results[name]["trained"]
        assert found["solves"] == 5 * share
        assert found["nfe"] == [5 * share * 4]
        assert np.sum(found["rejected"]) == 0
