"""Tasks on series: the evidence lower bound against NumPy, sums that add, and short trainings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from jaxode import SolveConfig
from jaxode.checks import ConfigError
from jaxode.config import OptimConfig, RunConfig
from jaxode.data import ArrayDataset
from jaxode.data.series import pad
from jaxode.models import (
    Forecast,
    LatentODE,
    LatentOutputs,
    NeuralCDE,
    Posterior,
    RNNEncoder,
    RNNForecaster,
)
from jaxode.nn import Dense, DenseField
from jaxode.tasks import LatentSeries, NextValue, SeriesClassification, examples_of
from jaxode.train import fit

RNG = np.random.default_rng(0)


def batch_of(records, labels=None, **more):
    examples = examples_of(pad(records, labels=labels))
    count = len(records)
    return {
        **{name: jnp.asarray(array) for name, array in examples.items()},
        "weight": jnp.ones(count),
        **more,
    }


RECORDS = [
    ([0.0, 1.0, 2.5], RNG.normal(size=(3, 2))),
    ([0.5, 0.7], RNG.normal(size=(2, 2))),
    ([0.0], RNG.normal(size=(1, 2))),
]


def outputs(samples=2):
    mean, std = RNG.normal(size=(3, 4)), RNG.uniform(0.1, 1, (3, 4))
    predicted = RNG.normal(size=(3, samples, 3, 2))
    found = (predicted, mean, std, RNG.normal(size=(3, samples)))
    predicted, mean, std, outcome = (jnp.asarray(x, jnp.float32) for x in found)
    return LatentOutputs(predicted, Posterior(mean, std), outcome)


@pytest.mark.parametrize("likelihood", ["sum", "mean"])
def test_the_loss_is_the_evidence_lower_bound(likelihood):
    batch, found = batch_of(RECORDS, divergence_weight=jnp.array([0.5, 1.0, 0.0])), outputs()
    losses = LatentSeries(0.3, likelihood).losses(found, batch)
    for i, (_, values) in enumerate(RECORDS):
        shown = np.asarray(found.predicted[i, :, : len(values)])
        logs = stats.norm.logpdf(np.asarray(values), shown, 0.3)
        mean, std = (np.asarray(x[i], np.float64) for x in found.posterior)
        divergence = 0.5 * (std**2 + mean**2 - 1) - np.log(std)
        if likelihood == "sum":
            log_p, divergence = logs.sum((1, 2)), divergence.sum()
        else:
            log_p, divergence = logs.mean((1, 2)), divergence.mean()
        weight = [0.5, 1.0, 0.0][i]
        wanted = weight * divergence - np.log(np.exp(log_p - log_p.max()).sum()) - log_p.max()
        assert float(losses[i]) == pytest.approx(wanted, rel=1e-5)


def test_an_unknown_outcome_counts_for_nothing():
    outcome = jnp.array([1.0, jnp.nan, 0.0])
    batch, found = batch_of(RECORDS, outcome=outcome), outputs(1)
    without = LatentSeries(0.3).losses(found, batch)
    more = LatentSeries(0.3, outcome="outcome", label_weight=10.0).losses(found, batch) - without
    odds = np.asarray(found.outcome[:, 0], np.float64)
    wanted = [np.log1p(np.exp(-odds[0])), 0.0, np.log1p(np.exp(odds[2]))]
    np.testing.assert_allclose(more, 10 * np.array(wanted), rtol=2e-4, atol=1e-5)
    none = found._replace(outcome=None)
    with pytest.raises(ConfigError, match="model must have a classifier"):
        LatentSeries(0.3, outcome="outcome").losses(none, batch)


def test_errors_are_of_observed_values_and_add_over_batches():
    task, found = LatentSeries(0.3), outputs(1)
    batch = batch_of(RECORDS)
    whole = {name: np.asarray(x) for name, x in task.metrics(found, batch).items()}
    errors = [
        np.asarray(found.predicted[i, 0, : len(values)]) - values
        for i, (_, values) in enumerate(RECORDS)
    ]
    squares = np.concatenate([np.ravel(error**2) for error in errors])
    summary = task.summarize(whole)
    assert summary["rmse"] == pytest.approx(np.sqrt(squares.mean()), rel=1e-5)
    assert summary["mse"] == pytest.approx(np.mean([np.mean(e**2) for e in errors]), rel=1e-5)
    padded = {**batch, "weight": jnp.array([1.0, 1.0, 0.0])}
    last = {**batch, "weight": jnp.array([0.0, 0.0, 1.0])}
    parts = [task.metrics(found, part) for part in (padded, last)]
    for name, total in whole.items():
        assert float(total) == pytest.approx(float(sum(part[name] for part in parts)), rel=1e-6)


def test_other_points_than_the_encoder_reads_can_be_predicted():
    more = {"target_times": jnp.ones((3, 1)), "target_values": jnp.ones((3, 1, 2))}
    batch = batch_of(RECORDS, **more, target_mask=jnp.zeros((3, 1, 2)))
    found = outputs(1)._replace(predicted=jnp.full((3, 1, 1, 2), 7.0))
    task = LatentSeries(0.3)
    assert float(task.metrics(found, batch)["squares"]) == 0
    divergence = found.posterior.divergence.sum(1)
    np.testing.assert_allclose(task.losses(found, batch), divergence, rtol=1e-6)


def test_the_report_has_the_area_under_the_roc_curve():
    task = LatentSeries(0.3, outcome="outcome")
    stored = {
        "mse": np.ones(4, np.float32),
        "log_odds": np.array([0.1, 2.0, -1.0, 3.0], np.float32),
        "outcome": np.array([0.0, 1.0, 1.0, np.nan], np.float32),
    }
    report = task.report(stored, None)["latent_series"]
    assert report == {"mse": 1.0, "positives": 2, "known": 3, "auroc": 0.5}
    assert task.plot_names(stored) == tuple(task.plots(stored, {}, None, "roc")) == ("roc.png",)
    alike = {**stored, "outcome": np.ones(4, np.float32)}
    assert task.plot_names(alike) == tuple(task.plots(alike, {}, None, "roc")) == ()
    assert task.is_stored(stored)
    assert not task.is_stored({**stored, "log_odds": np.zeros(4, int)})
    examples = {"times": np.zeros((4, 2)), "outcome": stored["outcome"]}
    assert task.belong(stored, examples)
    assert not task.belong(stored, {**examples, "outcome": np.zeros(4, np.float32)})


@pytest.mark.parametrize(
    "arguments", [{"noise_std": 0.0}, {"noise_std": 0.1, "likelihood": "max"}], ids=str
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ConfigError, match=r"(noise_std|likelihood) must be"):
        LatentSeries(**arguments)


@pytest.fixture(scope="module")
def waves():
    """Sines of two frequencies at irregular times, with their class."""
    rng = np.random.default_rng(0)
    records, labels = [], []
    for k in range(48):
        times = np.sort(rng.uniform(0, 3, rng.integers(4, 9)))
        records.append((times, np.sin((1 + 2 * (k % 2)) * times)[:, None]))
        labels.append(k % 2)
    examples = examples_of(pad(records, labels=labels))
    return ArrayDataset(
        "waves",
        {name: array[:32] for name, array in examples.items()},
        {name: array[32:] for name, array in examples.items()},
        type("Facts", (), {"class_names": ("slow", "quick")}),
    )


CONFIG = RunConfig(epochs=8, batch_size=8, optim=OptimConfig("adam", lr=0.02, schedule="constant"))


def test_classes_are_learned_on_the_one_loop(waves):
    solve = SolveConfig("midpoint", step_size=1.0)
    model = NeuralCDE(1, 6, 2, units=8, layers=1, solve=solve, rngs=nnx.Rngs(0))
    found = fit(model, SeriesClassification(2), waves, CONFIG)
    assert found.history[-1]["loss"] < 0.7 * found.history[0]["loss"]
    assert found.history[-1]["nfe_forward"] == 2 * (waves.train["times"].shape[1] - 1)


def test_a_latent_ode_learns_with_noise_of_each_series_key(waves):
    r = nnx.Rngs(0)
    solve = SolveConfig("heun", rtol=1e-2, atol=1e-2, per_sample=True)
    model = LatentODE(
        RNNEncoder(1, 3, 8, masked=True, rngs=r), DenseField(3, 8, 1, rngs=r),
        Dense((3, 1), rngs=r), solve, samples=2,
    )  # fmt: skip
    found = fit(model, LatentSeries(0.3), waves, CONFIG.replaced(epochs=4))
    assert found.history[-1]["loss"] < found.history[0]["loss"]
    halves = fit(model, LatentSeries(0.3), waves, CONFIG.replaced(epochs=1, accumulate=2))
    whole = fit(model, LatentSeries(0.3), waves, CONFIG.replaced(epochs=1))
    assert halves.history[0]["loss"] == pytest.approx(whole.history[0]["loss"], rel=1e-4)
    assert jax.tree.leaves(nnx.state(found.model, nnx.Param))


def test_forecasts_are_judged_by_what_follows():
    """Rows that follow a row count in the loss, and times behind the last one in the error."""
    more = {"target_times": jnp.array([[2.0, 3.0], [0.7, 1.0], [0.0, 5.0]])}
    batch = batch_of(RECORDS, **more, target_values=jnp.ones((3, 2, 2)))
    batch["target_mask"] = jnp.ones((3, 2, 2)).at[2, 1, 0].set(0)
    found = Forecast(jnp.full((3, 3, 2), 0.5), jnp.full((3, 2, 2), 4.0))
    task = NextValue(0.3)
    loss, _ = task.loss(lambda inputs: found, batch, jnp.array(3.0))
    logs = [stats.norm.logpdf(np.asarray(x)[1:], 0.5, 0.3).sum() for _, x in RECORDS]
    assert float(loss) == pytest.approx(-np.mean(logs), rel=1e-5)
    sums = task.metrics(found, batch)
    assert (float(sums["squares"]), float(sums["values"])) == (9.0 * 5, 5.0)
    assert task.summarize({name: np.asarray(x) for name, x in sums.items()})["rmse"] == 3.0
    assert task.predictions(found, batch)["mse"].tolist() == [9.0, 9.0, 9.0]
    with pytest.raises(ConfigError, match="noise_std must be above 0"):
        NextValue(0.0)


def test_a_forecaster_goes_on_by_its_own_predictions():
    """Reading its own first prediction as a row gives the second one."""
    model = RNNForecaster(2, 4, rngs=nnx.Rngs(0))
    times, values = RECORDS[1]
    series = LatentSeries(0.3).series(batch_of([(times, values)]))
    first, second = np.asarray(model((series, jnp.array([[1.0, 1.5]]))).beyond[0])
    longer = batch_of([([*times, 1.0], np.concatenate([values, first[None]]))])
    alone = model((LatentSeries(0.3).series(longer), jnp.array([[1.5]])))
    np.testing.assert_allclose(alone.beyond[0, 0], second, rtol=1e-5)
    np.testing.assert_allclose(alone.following[0, 1], first, rtol=1e-5)
