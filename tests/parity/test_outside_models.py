"""Models from outside the package pass, and what a port gets wrong is found and named."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="jaxode.parity compares with PyTorch")
pytest.importorskip("torchdiffeq", reason="the neural ODE is solved by torchdiffeq")

import numpy as np  # noqa: E402
import ported  # noqa: E402
from flax import nnx  # noqa: E402

from jaxode import SolveConfig, parity  # noqa: E402

OPTIONS = {"cnn": {"flattened": {"fc": (8, 3, 2)}}}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def compared(kind, wrong=None, **options):
    return parity.check(*getattr(ported, kind)(wrong), **OPTIONS.get(kind, {}), **options)


@pytest.mark.parametrize("kind", ["mlp", "cnn", "transformer", "gru", "spiral"])
def test_a_faithful_port_passes(kind):
    report = compared(kind)
    assert report.passed, str(report)
    assert report.first_difference is None
    assert report.largest("output") < 1e-14
    theirs = getattr(ported, kind)()[0]
    named = {name.split("[")[0] for link in report.links for name in link[0].split(" + ")}
    floats = {n for n, t in theirs.state_dict().items() if t.is_floating_point()}
    assert named == floats
    gradients = [each for each in report.comparisons if each.kind == "gradient"]
    assert len(gradients) == sum("running" not in link[0] for link in report.links)


@pytest.mark.parametrize(
    ("kind", "wrong", "layer", "inputs_differ", "after"),
    [
        ("mlp", "activation", "4", True, "2"),
        ("cnn", "padding", "conv2", False, "bn1"),
        ("cnn", "eps", "gn", False, "conv2"),
        ("transformer", "eps", "norm2", False, "attention"),
        ("transformer", "gelu", "down", True, "up"),
        ("transformer", "scale", "attention", True, "norm1"),
        ("gru", "gates", "gru", False, ""),
        ("spiral", "field", "func.net.2", True, "func.net.0"),
    ],
)
def test_the_first_layer_that_differs_is_named(kind, wrong, layer, inputs_differ, after):
    report = compared(kind, wrong, gradients=False)
    assert not report.passed
    first = report.first_difference
    assert (first.theirs, first.inputs_differ, first.after) == (layer, inputs_differ, after)
    assert first.error > report.layer_limit
    assert f"first difference: {layer} (" in str(report)


def test_another_shape_is_named_though_the_module_fails():
    report = compared("cnn", "size")
    assert not report.passed
    assert report.failure.startswith("TypeError: dot_general")
    assert report.first_difference.theirs == "conv1"
    assert "[4, 8, 6, 4] in PyTorch and [4, 4, 2, 8] in nnx" in str(report)


def test_batch_norm_in_training():
    report = compared("cnn", train=True)
    assert report.passed, str(report)
    states = {each.theirs: each for each in report.comparisons if each.kind == "state"}
    assert set(states) == {"bn1.running_mean", "bn1.running_var"}
    assert "n/(n - 1)" in states["bn1.running_var"].note
    assert "dropout is off on both sides" in report.remarks
    wrong = compared("cnn", "momentum", train=True, gradients=False)
    assert not wrong.passed
    assert {each.kind for each in wrong.comparisons if not each.passed} == {"state"}
    assert "the running statistic bn1.running_mean" in str(wrong)
    assert compared("cnn", "momentum", gradients=False).passed


def test_a_flattened_map_is_explained():
    report = parity.check(*ported.cnn(), gradients=False)
    assert report.first_difference.theirs == "fc"
    assert 'flattened={"fc": (channels, height, width)}' in str(report)


def test_the_solves_of_a_neural_ode():
    report = parity.check(*ported.spiral(adaptive=True))
    assert report.passed, str(report)
    (solve,) = report.solves
    assert solve.theirs.name == "func"
    assert solve.theirs.accepted > 2
    assert solve.theirs.evaluations == 2 + 6 * (solve.theirs.accepted + solve.theirs.rejected)
    wrong = parity.check(*ported.spiral("tolerance", adaptive=True), gradients=False)
    assert not wrong.passed


def test_an_adjoint_gradient_has_the_looser_bound():
    report = parity.check(*ported.spiral(adaptive=True, adjoint=True))
    assert report.passed, str(report)
    assert {each.limit for each in report.comparisons if each.kind == "gradient"} == {1e-9}
    (solve,) = report.solves
    assert solve.theirs.backward != solve.theirs.evaluations
    assert solve.ours.backward == solve.theirs.backward > 20
    assert solve.ours.evaluations == solve.theirs.evaluations


def test_another_backward_solve_is_a_failure():
    theirs, ours, inputs = ported.spiral(adaptive=True, adjoint=True)
    theirs.options |= {"adjoint_rtol": 1e-7, "adjoint_atol": 1e-8}
    report = parity.check(theirs, ours, inputs)
    (solve,) = report.solves
    assert solve.ours.evaluations == solve.theirs.evaluations
    assert solve.ours.backward < solve.theirs.backward
    assert not solve.passed
    assert not report.passed


def test_the_reference_is_compared_layer_by_layer_without_a_mapping():
    """The classifiers of both sides, whose names and nesting have nothing in common."""
    from jaxode import ModelConfig, create_model
    from torch_ref.model import build

    theirs = build("odenet", 1, channels=1, classes=3, width=4, side=16)
    ours = create_model(
        ModelConfig("odenet", blocks=1, width=4),
        SolveConfig(stepping="torchdiffeq"),
        image_shape=(16, 16, 1),
        classes=3,
        rngs=nnx.Rngs(0),
        kernels="matmul",
    )
    report = parity.check(theirs, ours, ported.DRAWS.random((2, 1, 16, 16)))
    assert report.passed, str(report)
    assert report.first_difference is None
    assert report.layout == "channels_last"
    found = {each.theirs: each.ours for each in report.layers}
    assert found["7.odefunc"] == "blocks.0.field"
    assert found["7.odefunc.conv2._layer"] == "blocks.0.field.conv2"
    assert found["12"] == "head.linear"
    assert report.solves[0].theirs.evaluations == report.solves[0].ours.evaluations


def test_other_steps_are_a_failure():
    theirs, ours, inputs = ported.spiral()
    theirs.options = {"method": "rk4", "options": {"step_size": 0.05}}
    report = parity.check(theirs, ours, inputs, gradients=False)
    assert not report.passed
    assert not report.solves[0].passed
    assert "the solve of func takes other steps" in str(report)


def test_a_named_field_of_another_solver_is_counted():
    def euler(field, y, times, steps):
        for _ in range(steps):
            y = y + field(None, y) / steps
        return y[None]

    config = SolveConfig("euler", step_size=0.25)
    for steps in (4, 5):
        theirs = ported.TorchSpiral(euler, steps=steps)
        report = parity.check(
            theirs, ported.FlaxSpiral(config, None), np.ones((1, 2)) / 2, field="func",
            gradients=False,
        )  # fmt: skip
        (solve,) = report.solves
        assert (solve.theirs.evaluations, solve.ours.evaluations) == (steps, 4)
        assert solve.passed is report.passed is (steps == 4), str(report)
