"""A task, a data set and a model of a user's own, never registered, go through the one trainer."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from stubs import without_pictures

from jaxode.checks import ConfigError
from jaxode.config import DataConfig, OptimConfig, ParallelConfig, RunConfig, SolveConfig
from jaxode.data import ArrayDataset
from jaxode.nn import ODEBlock
from jaxode.ode import Stats, odeint
from jaxode.runs import RunDirectory, predictions
from jaxode.tasks import Regression, Task
from jaxode.tasks.base import call_model
from jaxode.train import fit, run

RNG = np.random.default_rng(0)


def points(count):
    """Starts in the plane, and where a quarter turn takes them."""
    start = RNG.normal(size=(count, 2)).astype(np.float32)
    return {"start": start, "end": start[:, ::-1] * np.float32([-1, 1])}


DATA = ArrayDataset("quarter turn", points(70), points(23))

CONFIG = RunConfig(
    data=DataConfig(dataset="quarter turn", data="full"),
    optim=OptimConfig(optimizer="adam", lr=0.05, schedule="constant"),
    epochs=6,
    batch_size=16,
)


class Flow(nnx.Module):
    """z(1) of dz/dt = A z; a user's own field, solved by the library."""

    def __init__(self, gradient="tape"):
        self.matrix = nnx.Param(jnp.zeros((2, 2)))
        self.solve = SolveConfig(rtol=1e-4, atol=1e-4, gradient=gradient)

    def __call__(self, start):
        params = self.matrix[...]
        end, stats = odeint(lambda t, z, a: z @ a, start, params, self.solve)
        return end, Stats.chain([stats])


class Blocks(nnx.Module):
    """Two ODE blocks of a user's own field; what they cost is not returned."""

    def __init__(self):
        solve = SolveConfig(rtol=1e-3, atol=1e-3)
        fields = [nnx.Linear(2, 2, rngs=nnx.Rngs(seed)) for seed in (0, 1)]
        self.blocks = nnx.List([ODEBlock(Field(each), solve) for each in fields])

    def __call__(self, start):
        for block in self.blocks:
            start, _ = block(start)
        return start


class Field(nnx.Module):
    def __init__(self, linear):
        self.linear = linear

    def __call__(self, t, z):
        return jnp.tanh(self.linear(z))


class Turning(Task):
    """Distance of the ends, and the largest of them, which does not add up over batches."""

    name = "turning"
    monitor = "test_distance"

    def loss(self, model, batch, total):
        end = call_model(model, batch["start"], batch)
        distance = jnp.sqrt(jnp.sum((end - batch["end"]) ** 2, -1) + 1e-12)
        return jnp.sum(distance * batch["weight"]) / total, (end, distance)

    def metrics(self, outputs, batch):
        return {"sum": jnp.sum(outputs[1] * batch["weight"]), "count": jnp.sum(batch["weight"])}

    def summarize(self, metrics):
        return {"distance": float(metrics["sum"] / metrics["count"])}

    def predictions(self, outputs, batch):
        return {"end": outputs[0], "distance": outputs[1]}

    def report(self, stored, spec):
        return {"largest_distance": float(stored["distance"].max())}

    def report_names(self, stored):
        return ("largest_distance",)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    without_pictures(monkeypatch)


@pytest.mark.parametrize("gradient", ["tape", "backsolve"])
def test_an_own_model_learns_an_own_task_on_own_data(gradient):
    model = Flow(gradient)
    found = fit(model, Turning(), DATA, CONFIG)
    distances = [epoch["test_distance"] for epoch in found.history]
    assert distances[-1] < 0.5 * distances[0]
    assert found.result["best_epoch"] == 1 + int(np.argmin(distances))
    assert found.result["nfe_forward"] >= 7  # what the model's own solves took
    assert not model.matrix[...].any()  # the user's model is not changed
    end, _ = found.model(jnp.asarray(DATA.test["start"]))
    direct = np.sqrt(((np.asarray(end) - DATA.test["end"]) ** 2).sum(-1))
    assert distances[-1] == pytest.approx(direct.mean(), rel=1e-3)
    assert "test_accuracy" not in found.history[-1]


def test_blocks_report_their_costs_to_the_trainer():
    model = Blocks()
    model(jnp.ones((3, 2)))  # leaves statistics of its own, which are not the run's
    found = fit(model, Turning(), DATA, CONFIG.replaced(epochs=2))
    last = found.history[-1]
    assert len(last["nfe_per_block"]) == 2
    assert min(last["nfe_per_block"]) >= 7
    assert last["test_distance"] < found.history[0]["test_distance"]
    for block in model.blocks:
        block.solve = SolveConfig(rtol=1e-3, atol=1e-3, gradient="backsolve")
    assert fit(model, Turning(), DATA, CONFIG.replaced(epochs=1)).result["nfe_forward"] >= 7


def test_metrics_do_not_depend_on_micro_batches():
    parts = CONFIG.replaced(accumulate=4, epochs=2)
    whole, split = (
        fit(Flow(), Turning(), DATA, c).history for c in (parts.replaced(accumulate=1), parts)
    )
    for one, other in zip(whole, split, strict=True):
        assert one["test_distance"] == pytest.approx(other["test_distance"], rel=1e-3)


def test_a_run_of_an_own_task_has_a_directory_and_goes_on(tmp_path):
    def go(config):
        build = lambda *args, **options: Flow()  # noqa: E731
        return run(config, DATA, tmp_path, build=build, task=Turning())

    result = go(CONFIG)
    assert result["dataset"] == "quarter turn"
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    stored = predictions.load(tmp_path, 6, Turning())
    assert stored["end"].shape == (23, 2)
    assert result["largest_distance"] == pytest.approx(stored["distance"].max())
    assert result["best_test_distance"] == min(line["test_distance"] for line in lines)
    assert RunDirectory(tmp_path).has_report(Turning())
    (tmp_path / predictions.PREDICTIONS).unlink()
    assert not RunDirectory(tmp_path).has_report(Turning())
    assert go(CONFIG)["largest_distance"] == result["largest_distance"]


def test_regression_reports_the_errors_of_all_examples(tmp_path):
    task = Regression("start", "end")
    build = lambda *args, **options: Flow()  # noqa: E731
    result = run(CONFIG.replaced(epochs=1), DATA, tmp_path, build=build, task=task)
    stored = predictions.load(tmp_path, 1, task)
    errors = stored["output"] - stored["target"]
    assert result["test_rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
    assert result["test_mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert result["best_test_rmse"] == result["test_rmse"]


def test_a_data_set_without_classes_needs_a_task(tmp_path):
    with pytest.raises(ConfigError, match="task must be given for the data set quarter turn"):
        run(CONFIG, DATA, tmp_path, build=lambda *args, **options: Flow())


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ({"x": np.ones(3), "y": np.ones(2)}, {"x": np.ones(1), "y": np.ones(1)}, "train must be"),
        ({"x": np.ones(3)}, {"x": np.ones(0)}, "test must be"),
        ({"x": np.ones(3)}, {"y": np.ones(3)}, "test must have the arrays of train"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(train, test, words):
    with pytest.raises(ConfigError, match=words):
        ArrayDataset("wrong", train, test)


def test_own_settings_still_have_their_checks():
    with pytest.raises(ConfigError, match="batch_size must be a multiple"):
        fit(Flow(), Turning(), DATA, CONFIG.replaced(accumulate=3))
    assert ParallelConfig().accumulate == 1
