"""The measurements on models behind the claims, on networks of four channels and fields that are
known.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from stubs import image_set

from jaxode.config import ModelConfig, RunConfig, SolveConfig
from jaxode.losses import cross_entropy
from jaxode.train.compiled_steps import CompiledSteps
from scripts.claims import backward, drift, forward, gradients, loose, tolerance
from scripts.claims.subject import Request, Subject, arithmetic

BATCH = 4


@pytest.fixture(scope="module")
def tiny():
    """A network as it was drawn, all parameters doubled as if by training, and 7 images in batches
    of 4.
    """
    config = RunConfig(
        model=ModelConfig(width=4), solve=SolveConfig("bosh3"), batch_size=BATCH, seed=3
    )
    data = image_set(train=4, test=7)
    params = jax.tree.map(
        lambda leaf: 2 * np.asarray(leaf), CompiledSteps(config, data).learned.params
    )
    return Subject("tiny", "epoch-00001", config, params, data)


class One(Request):
    """A request for one subject that is there already."""

    def __init__(self, subject):
        object.__setattr__(self, "runs", (subject,))

    def subjects(self):
        yield from self.runs


def test_initial_parameters_are_those_that_the_run_began_with(tiny):
    _, initial = tiny.split(tiny.at(1e-3), "float32", initial=True)
    _, trained = tiny.split(tiny.at(1e-3), "float32")
    drawn = CompiledSteps(tiny.config, tiny.data).learned.params
    for before, after, expected in zip(
        *map(jax.tree.leaves, (initial, trained, drawn)), strict=True
    ):
        np.testing.assert_array_equal(before, expected)
        np.testing.assert_array_equal(after, 2 * expected)


def test_a_solve_of_all_images_says_what_the_model_says(tiny):
    found = forward.Forward(tiny, "float32").solve(tiny.at(1e-2))
    graph, params = tiny.split(tiny.at(1e-2), "float32")
    run = jax.jit(lambda params, images: nnx.merge(graph, params)(images))
    first, second = (run(params, tiny.views(indices, "float32")) for indices in tiny.order[0])
    expected = np.concatenate(
        [first[0], second[0][:3]]
    )  # the last batch is filled up with one of the first images
    np.testing.assert_allclose(found.logits, expected, rtol=1e-4, atol=1e-5)
    assert found.states.shape == (7, 6, 6, 4)
    assert found.nfe == (first[1].nfe[0] + second[1].nfe[0]) / 2
    assert found.failure is None
    labels = tiny.data.test_labels
    row = forward.judged(found, labels, 1e-2)
    assert row["loss"] == pytest.approx(
        float(cross_entropy(jnp.asarray(expected), labels, jnp.ones(7))), rel=1e-5
    )
    assert row["accuracy"] == np.mean(expected.argmax(1) == labels)
    stopped = forward.Solved(found.states, found.logits, 9.0, 1.0, 2.0, "it stopped", found.again)
    assert forward.judged(stopped, labels, 1e-2)["accuracy"] is None


def test_errors_and_losses_by_hand():
    found, true = np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([[3.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(forward.drifts(found, true), [4 / 3, 1 / 2])
    assert forward.relative([found[0], found[1]], [true[0], true[1]]) == pytest.approx(
        np.sqrt(17 / 13)
    )
    assert forward.loss(
        np.array([[1000.0, 1000.0], [0.0, np.log(3)]]), np.array([0, 1])
    ) == pytest.approx((np.log(2) + np.log(4 / 3)) / 2)


class Known:
    """In place of Forward: final states and logits are off by the tolerance, and tight solves fail
    if told to.
    """

    fails = ()

    def __init__(self, subject, dtype):
        self.scale, self.made = 1.0, np.ones((7, 10))

    def solve(self, config):
        off = config.rtol if config.rtol > 1e-8 else 0.0
        failure = "no" if config.rtol in self.fails else None
        return forward.Solved(
            self.made * (1 + off),
            self.made * (1 - 2 * off),
            1 / config.rtol,
            5.0,
            0.0,
            failure,
            int,
        )


def test_errors_by_tolerance_are_against_the_reference(tiny, monkeypatch):
    monkeypatch.setattr(tolerance, "Forward", Known)
    monkeypatch.setattr(Known, "fails", (1e-3,))
    found = tolerance.measure(One(tiny), tolerances=(1e-1, 1e-2, 1e-3), rounds=2)
    rows = found["rows"]
    assert [row["state_error"] for row in rows] == [pytest.approx(1e-1), pytest.approx(1e-2), None]
    assert [row["logits_error"] for row in rows] == [pytest.approx(2e-1), pytest.approx(2e-2), None]
    assert [row["ms"] is None for row in rows] == [False, False, True]
    assert rows[0]["ms"]["low"] <= rows[0]["ms"]["median"] <= rows[0]["ms"]["high"]
    assert (found["reference"]["tolerance"], found["run"], found["images"]) == (1e-8, "tiny", 7)


@pytest.mark.parametrize(
    ("claim", "fails", "message"),
    [
        (tolerance, (1e-8,), "the float64 solve of tiny at 1e-8 failed: no"),
        (tolerance, (1e-1, 1e-4), "no solve of tiny succeeded at any tolerance: no"),
        (loose, (1e-1, 1e-4), "no solve of tiny succeeded at any tolerance: no"),
    ],
)
def test_nothing_is_made_of_solves_that_failed(claim, fails, message, tiny, monkeypatch):
    monkeypatch.setattr(claim, "Forward", Known)
    monkeypatch.setattr(Known, "fails", fails)
    with pytest.raises(RuntimeError, match=message):
        claim.measure(One(tiny), tolerances=(1e-1, 1e-4))


def test_loose_evaluation_has_rows_by_run_and_tolerance(tiny, monkeypatch):
    monkeypatch.setattr(loose, "Forward", Known)
    request = One(tiny)
    object.__setattr__(request, "runs", (tiny, tiny))
    found = loose.measure(request, tolerances=(1e-1, 1e-4))
    assert [[row["nfe"] for row in run["rows"]] for run in found["runs"]] == [
        [10.0, pytest.approx(1e4)]
    ] * 2
    assert found["runs"][0]["trained_at"] == 1e-3


class TimesTime(nnx.Module):
    """One block whose field is rate · t · z."""

    class Block(nnx.Module):
        def __init__(self):
            self.rate = nnx.Param(jnp.array(2.0))
            self.field = lambda t, z: self.rate[...] * t * z

    def __init__(self):
        self.blocks = nnx.List([self.Block()])


def test_a_journey_follows_the_field_in_its_own_time(x64):
    graph, params = nnx.split(TimesTime())
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
    travel = jax.jit(backward.journey(graph, SolveConfig("bosh3", 1e-9, 1e-9, max_steps=4096)))
    z = jnp.array([1.0, -3.0])
    for start, end in ((0.0, 1.0), (0.0, 0.4), (1.0, 0.4)):
        found, failure = travel(params, z, jnp.array(start), jnp.array(end - start))
        np.testing.assert_allclose(found, z * np.exp(end**2 - start**2), rtol=1e-7)
        assert failure == 0


def test_drift_is_that_of_the_way_back(x64):
    wrong = np.array([1.01, 1.02, 1.05])[:, None]

    def travel(z, start, span):
        back = float(span) < 0
        return z * np.exp(float(span)) * (wrong ** (-float(span)) if back else 1), (
            3 if back and stuck else 0
        )

    z0, stuck = np.ones((3, 2)), False
    found = backward.there_and_back(travel, z0, (0.0, 0.5))
    np.testing.assert_allclose(found["median"], [0.02, 1.02**0.5 - 1], rtol=1e-6)
    np.testing.assert_allclose(found["worst"], [0.05, 1.05**0.5 - 1], rtol=1e-6)
    assert found["failure"] is None
    stuck = True
    found = backward.there_and_back(travel, z0, (0.0,))
    assert (found["median"], found["failure"][:13]) == (None, "the step size")


def test_both_fields_drift_apart(tiny):
    rows = {row["field"]: row for row in backward.reconstruction(tiny, 1e-2, "float64", (0.0,))}
    assert all(0 < row["median"][0] <= row["worst"][0] < 1 for row in rows.values())
    assert rows["trained"]["median"] != rows["initial"]["median"]


def test_errors_of_gradients_are_against_tape(tiny, monkeypatch):
    scales = {"tape": 1.0, "backsolve": 1.25, "replay": 1.0, "checkpointed": 1.125}

    def gradient(subject, tolerance, mode, dtype):
        failure = "too short" if (mode, tolerance) == ("backsolve", 1e-1) else None
        return gradients.Slope([np.full(3, scales[mode]), np.zeros(1)], failure)

    monkeypatch.setattr(drift, "gradient", gradient)
    monkeypatch.setattr(gradients, "gradient", gradient)
    monkeypatch.setattr(
        drift,
        "reconstruction",
        lambda subject, tolerance, dtype, times: [(tolerance, dtype, times)],
    )
    found = drift.measure(
        One(tiny), tolerances=(1e-1, 1e-2), times=(0.0,), types=("float64",), checked=1e-2
    )
    assert found["drift"] == [(1e-1, "float64", (0.0,)), (1e-2, "float64", (0.0,))]
    first, second = found["gradient"]
    assert first["against_tape"] == {"backsolve": None}
    assert (first["failures"], second["failures"]) == ({"backsolve": "too short"}, {})
    assert second["against_tape"] == {"backsolve": 0.25, "replay": 0.0, "checkpointed": 0.125}
    assert second["against_finest"] == {"tape": 0.0, "backsolve": 0.25}
    monkeypatch.setattr(drift, "gradient", lambda *which: gradients.Slope([], "too long"))
    with pytest.raises(RuntimeError, match="the float64 gradient of tiny at 1e-8 failed: too long"):
        drift.measure(One(tiny))


def test_a_gradient_of_a_solve_that_failed_is_none(tiny, monkeypatch):
    """Replay would give a finite gradient of the state that was reached."""
    monkeypatch.setattr(gradients, "FEW_STEPS", 2)
    found = gradients.gradient(tiny, 1e-5, "replay", "float64")
    assert all(np.isfinite(leaf).all() for leaf in found.leaves)
    assert "max_steps" in found.failure
    assert (
        found.error(gradients.Slope(found.leaves))
        is gradients.Slope(found.leaves).error(found)
        is None
    )


def test_a_gradient_is_that_of_the_mean_cross_entropy():
    config = RunConfig(model=ModelConfig("mlp"), batch_size=BATCH)
    data = image_set(train=4, test=7)
    params = jax.tree.map(np.asarray, CompiledSteps(config, data).learned.params)
    one = Subject("mlp", "epoch-00001", config, params, data)
    found = gradients.gradient(one, 1e-2, "tape", "float64").leaves
    with arithmetic("float64"):
        graph, params = one.split(one.at(1e-2), "float64")
        logits, _ = nnx.merge(graph, params)(one.views(np.arange(BATCH), "float64"))
        wanted = np.asarray(jax.nn.softmax(logits)) - np.eye(10)[data.test_labels[:BATCH]]
    (bias,) = (leaf for leaf in found if leaf.shape == (10,))
    np.testing.assert_allclose(bias, wanted.mean(0), rtol=1e-5)
    lost = dataclasses.replace(
        one, params=jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), one.params)
    )
    assert "backward" in gradients.gradient(lost, 1e-2, "backsolve", "float64").failure
    assert gradients.gradient(lost, 1e-2, "tape", "float64").failure == "it is not finite"
