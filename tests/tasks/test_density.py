"""Density estimation as a task: its loss, sums and report, and a short training by `fit`."""

import io
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from stubs import without_pictures

from jaxode.config import OptimConfig, RunConfig
from jaxode.data import ArrayDataset
from jaxode.runs import Progress
from jaxode.tasks import Density
from jaxode.train import fit


class Normal(nnx.Module):
    """A normal distribution on a line, whose log-densities are known."""

    def __init__(self):
        self.mean = nnx.Param(jnp.zeros(()))

    def __call__(self, x):
        return -0.5 * ((x[:, 0] - self.mean[...]) ** 2 + jnp.log(2 * jnp.pi))


def test_it_is_maximum_likelihood_on_the_one_loop(monkeypatch, tmp_path):
    without_pictures(monkeypatch)
    points = np.random.default_rng(0).normal(2, 1, (64, 1)).astype(np.float32)
    spec = SimpleNamespace(entropy=0.5 * np.log(2 * np.pi * np.e))
    data = ArrayDataset("normal", {"points": points}, {"points": points}, spec)
    config = RunConfig(
        epochs=20, batch_size=16, optim=OptimConfig("sgd", lr=0.1, momentum=0.0, schedule="cosine")
    )
    shown = io.StringIO()
    found = fit(
        Normal(), Density(), data, config, out=tmp_path / "run", progress=Progress(stream=shown)
    )
    assert " points/s " in shown.getvalue()
    expected = -0.5 * (points.var() + np.log(2 * np.pi))
    assert found.result["test_log_likelihood"] == pytest.approx(expected, abs=1e-3)
    report = found.result["density"]
    assert report["nats"] == pytest.approx(expected, abs=1e-3)
    assert report["gap"] == pytest.approx(-report["nats"] - spec.entropy)


def test_padding_counts_for_nothing():
    weight = jnp.array([1.0, 1.0, 0.0])
    batch = {"points": jnp.array([[0.0], [1.0], [50.0]]), "weight": weight}
    loss, log_p = Density().loss(Normal(), batch, jnp.array(2.0))
    assert float(loss) == pytest.approx(0.25 + 0.5 * np.log(2 * np.pi), abs=1e-6)
    sums = {name: np.asarray(x) for name, x in Density().metrics(log_p, batch).items()}
    assert Density().summarize(sums)["log_likelihood"] == pytest.approx(-float(loss), abs=1e-6)
