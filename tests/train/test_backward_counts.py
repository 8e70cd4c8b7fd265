"""What backward solves cost in training, as torchdiffeq's adjoint counts it."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from lines_fitted import StopAfter
from runs import digests

import jaxode
from jaxode.config import OptimConfig, ParallelConfig, RunConfig, SolveConfig
from jaxode.data import ArrayDataset
from jaxode.errors import Stopped
from jaxode.models import ContinuousFlow
from jaxode.nn import ConcatSquashField, ODEBlock
from jaxode.runs import checkpoint
from jaxode.runs.progress import epoch_line
from jaxode.tasks import Density, Regression
from jaxode.train import fit
from jaxode.train.epoch_metrics import backward_metrics
from jaxode.train.pace import Pace
from jaxode.train.state import BackwardTotals, Totals, split_model

X = np.random.default_rng(0).uniform(-1, 1, (12, 2)).astype(np.float32)
POINTS = {"input": X, "target": np.tanh(X[:, ::-1])}
DATA = ArrayDataset("pairs", POINTS, POINTS)
"""Two steps of eight examples an epoch, the second with four of padding."""

SOLVE = {"solver": "bosh3", "rtol": 1e-3, "atol": 1e-3, "gradient": "backsolve"}
STEPS = {"solver": "euler", "step_size": 0.25, "gradient": "backsolve", "stepping": "torchdiffeq"}
"""Which compiles in a second."""


class Field(nnx.Module):
    def __init__(self, dtype=jnp.float32):
        values = np.random.default_rng(1).normal(size=(2, 2))
        self.weight = nnx.Param(jnp.asarray(2 * values, dtype))

    def __call__(self, t, z):
        return jnp.tanh(z @ self.weight[...]) * (1 + t)


def network(solve=STEPS, **changes):
    return nnx.Sequential(ODEBlock(Field(), SolveConfig(**{**solve, **changes})), lambda z, s: z)


def config(epochs=1, **options):
    rule = OptimConfig("sgd", lr=0.5, schedule="constant")
    return RunConfig(**{"epochs": epochs, "batch_size": 8, "optim": rule, **options})


def trained(model=None, epochs=1, data=DATA, **options):
    return fit(model or network(), Regression(), data, config(epochs, **options))


def counted_by_torchdiffeq(x, target):
    """Evaluations of `odeint_adjoint` in a step with these examples, forward and backward."""
    torch = pytest.importorskip("torch")
    from torchdiffeq import odeint_adjoint

    class Counted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            weight = np.array(Field(jnp.float64).weight[...])
            self.weight, self.calls = torch.nn.Parameter(torch.tensor(weight)), 0

        def forward(self, t, z):
            self.calls += 1
            return torch.tanh(z @ self.weight) * (1 + t)

    field, times = Counted(), torch.tensor([0.0, 1.0], dtype=torch.float64)
    start = torch.tensor(x, dtype=torch.float64)
    options = {"rtol": 1e-3, "atol": 1e-3, "method": "bosh3"}
    end = odeint_adjoint(field, start, times, **options)[1]
    forward, field.calls = field.calls, 0
    ((end - torch.tensor(target, dtype=torch.float64)) ** 2).mean().backward()
    return forward, field.calls


def test_the_record_is_what_torchdiffeqs_adjoint_counts(x64):
    first = {name: value[:8].astype(np.float64) for name, value in POINTS.items()}
    block = ODEBlock(Field(jnp.float64), SolveConfig(**SOLVE, stepping="torchdiffeq"))
    model = nnx.Sequential(block, lambda z, stats: z)
    found = trained(model, data=ArrayDataset("eight", first, first), precision="float64")
    (line,) = found.history
    forward, backward = counted_by_torchdiffeq(first["input"], first["target"])
    assert (line["nfe_forward_train"], line["nfe_backward"]) == (forward, backward)
    steps = line["accepted_backward"] + line["rejected_backward"]
    assert line["nfe_backward"] == 2 + 3 * steps
    assert found.result["nfe_backward"] == backward
    assert f"nfe train {forward:.1f} backward {backward:.1f} test" in epoch_line(line, 1, [])


def test_only_runs_with_a_backward_solve_have_the_record():
    names = ("nfe_backward", "accepted_backward", "rejected_backward")
    plain = trained(network(gradient="replay"))
    assert not set(names) & {*plain.history[0], *plain.result}
    own = [name for name in trained().history[0] if name not in names]
    assert own == list(plain.history[0])


def test_diffraxs_steps_are_counted_too_with_padding_left_out():
    """Each sample by itself: then the mean over a divided batch is that of the whole."""
    steps = []

    class Steps(jaxode.callbacks.Callback):
        def on_step(self, step):
            steps.append(step)

    model = network(SOLVE, per_sample=True)
    whole = fit(model, Regression(), DATA, config(), callbacks=[Steps()])
    parts = trained(network(SOLVE, per_sample=True), parallel=ParallelConfig(accumulate=2))
    names = ("nfe_backward", "accepted_backward", "rejected_backward")
    for name in names:
        assert parts.history[0][name] == pytest.approx(whole.history[0][name], rel=1e-12)
    nfe, accepted, rejected = (whole.history[0][name] for name in names)
    assert nfe == pytest.approx(2 + 3 * (accepted + rejected))
    assert accepted > 2
    # Eight examples in the first step, four in the second.
    assert nfe == pytest.approx((8 * steps[0].nfe_backward + 4 * steps[1].nfe_backward) / 12)


def test_the_record_is_the_mean_over_solves_and_modules():
    """Two modules, three solves of each."""
    sums = BackwardTotals(jnp.array(3), *(jnp.array(each) for each in ([6, 12], [3, 4], [0, 1])))
    found = backward_metrics(Totals.zero(2, backward=2)._replace(backward=sums))
    expected = {"nfe_backward": 3, "accepted_backward": 7 / 6, "rejected_backward": 1 / 6}
    assert found == pytest.approx(expected)
    assert set(backward_metrics(Totals.zero(2, backward=2)).values()) == {None}


def test_a_flow_is_counted():
    """Its ODE block is made anew at every call."""
    points = {"points": X[:8]}
    field = ConcatSquashField(2, (4,), rngs=nnx.Rngs(0))
    flow = ContinuousFlow(field, 2, SolveConfig("euler", step_size=0.5, gradient="backsolve"))
    found = fit(flow, Density(), ArrayDataset("points", points, points), config())
    assert found.history[0]["nfe_backward"] == found.history[0]["accepted_backward"] == 2


def test_a_model_that_cannot_be_counted_is_trained(caplog):
    """Blocks one behind the other, stacked: what `nnx.scan` cuts has no place for one number."""

    class Stack(nnx.Module):
        def __init__(self):
            @nnx.vmap(in_axes=0)
            def make(scale):
                block = ODEBlock(Field(), SolveConfig(**STEPS))
                block.field.weight.set_value(scale * block.field.weight[...])
                return block

            self.blocks = make(jnp.array([0.5, 1.0]))

        def __call__(self, z):
            axes = {"in_axes": (nnx.Carry, 0), "out_axes": (nnx.Carry, 0)}
            return nnx.scan(lambda z, block: block(z), **axes)(z, self.blocks)  # z, Stats [2]

    found = trained(Stack())
    assert "nfe_backward" not in found.history[0]
    assert "the backward solves of this model are not counted" in caplog.text
    assert np.isfinite(found.history[0]["loss"])


def test_a_stopped_run_goes_on_bit_for_bit_with_its_counts(tmp_path):
    def go(out, *callbacks, **options):
        settings = config(2, batch_size=4)
        return fit(network(), Regression(), DATA, settings, out=out, callbacks=callbacks, **options)

    whole = go(tmp_path / "whole")
    with pytest.raises(Stopped):
        go(tmp_path / "parts", StopAfter(2))
    parts = go(tmp_path / "parts", resume=True)
    assert digests(tmp_path / "parts").items() >= {list(digests(tmp_path / "whole").items())[-1]}
    assert [line["nfe_backward"] for line in parts.history] == [
        line["nfe_backward"] for line in whole.history
    ]
    assert json.loads((tmp_path / "parts/result.json").read_text())["nfe_backward"] == 4
    loaded = jaxode.load(tmp_path / "whole", model=network())  # without asking for the counts
    np.testing.assert_array_equal(loaded.predict(X), whole.model(jnp.asarray(X)))


def test_a_run_from_before_the_counts_goes_on(tmp_path, monkeypatch):
    """Its checkpoint, in the midst of an epoch, has none; the steps that follow are counted."""
    settings = config(1, batch_size=4)
    flatten = checkpoint.flatten
    with monkeypatch.context() as patch:
        patch.setattr(
            checkpoint,
            "flatten",
            lambda state: {k: v for k, v in flatten(state).items() if ".backward." not in k},
        )
        patch.setattr(Pace, "rows", lambda self, remaining: 1)
        with pytest.raises(Stopped):
            fit(network(), Regression(), DATA, settings, out=tmp_path, callbacks=[StopAfter(1)])
    found = fit(network(), Regression(), DATA, settings, out=tmp_path, resume=True)
    whole = fit(network(), Regression(), DATA, settings)
    assert found.history[0]["loss"] == whole.history[0]["loss"]
    assert found.history[0]["nfe_backward"] == whole.history[0]["nfe_backward"] == 4
    expected, own = (split_model(each.model)[1].params for each in (whole, found))
    jax.tree.map(np.testing.assert_array_equal, expected, own)
