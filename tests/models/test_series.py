"""Models of series without PyTorch: padding changes nothing, each interval is its own solve."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode import SolveConfig
from jaxode.checks import ConfigError
from jaxode.models import RNNForecaster
from jaxode.models.encoders import LEAD, PARTS, euler_steps
from jaxode.models.series_config import MODELS, SeriesModelConfig, create_series_model
from jaxode.nn import IntervalSolve, Series
from jaxode.nn.control import filled, hermite_pieces
from jaxode.nn.series import total_stats
from jaxode.ode import Stats

SIZES = {"hidden": 4, "latent": 2, "units": 5, "layers": 1, "decoder": 0}


def series(rows=5, seed=0):
    """Three series of 2, 5 and 3 rows and two channels, padded to so many rows."""
    rng = np.random.default_rng(seed)
    lengths = np.array([2, 5, 3])
    times = np.cumsum(rng.uniform(0.1, 1, (3, 5)), 1)
    mask = (rng.random((3, 5, 2)) < 0.7).astype(float)
    mask[:, 0] = 1
    values = rng.normal(size=mask.shape)
    times = np.concatenate([times, np.zeros((3, rows - 5))], 1)
    inside = np.arange(rows) < lengths[:, None]
    times = np.where(inside, times, times[np.arange(3), lengths - 1][:, None])
    more = ((0, 0), (0, rows - 5), (0, 0))
    mask = np.pad(mask, more) * inside[..., None]
    values = np.pad(values, more) * mask
    return Series(*map(jnp.asarray, (times, values, mask, lengths)))


def outputs(model, series):
    if hasattr(model, "predict"):
        return model((series, series.times[:, :5]))[0].predicted
    if isinstance(model, RNNForecaster):
        return model((series, series.times[:, -1:] + 1.0)).beyond
    return model(series)[0]


SOLVES = {
    "ode_rnn": SolveConfig("euler", step_size=1.0),
    "neural_cde": SolveConfig("heun", rtol=1e-4, atol=1e-4, per_sample=True),
    "latent_ode": SolveConfig("heun", rtol=1e-4, atol=1e-4, per_sample=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name, x64):
    encoder = "ode_rnn" if name == "latent_ode" else "rnn"
    outcomes = 0 if name in ("latent_ode", "rnn") else 3
    config = SeriesModelConfig(2, outcomes, name, encoder=encoder, **SIZES)
    model = create_series_model(config, SOLVES.get(name, SolveConfig()), nnx.Rngs(0), np.ones(2))
    work = jax.jit(lambda series: outputs(model, series))
    single, padded = (jax.tree.map(as_float32, series(rows)) for rows in (5, 8))
    np.testing.assert_allclose(work(single), work(padded), rtol=2e-5, atol=1e-6)
    changed = single._replace(values=single.values.at[:, 0].add(1.0))
    assert np.abs(work(single) - work(changed)).max() > 1e-5


def as_float32(array):
    return array.astype(jnp.float32) if array.dtype == jnp.float64 else array


@pytest.mark.parametrize(
    "solve",
    [
        SolveConfig("rk4", step_size=0.25),
        SolveConfig("rk4", step_size=0.05),  # too many steps to be written out
        SolveConfig(rtol=1e-7, atol=1e-7),
        SolveConfig(rtol=1e-7, atol=1e-7, per_sample=True),
    ],
    ids=["few", "many", "joint", "per sample"],
)
def test_each_interval_is_solved_on_its_own(solve, x64):
    """dz/dt = cos(t) rate has a known answer, and a gradient in the rate and the times."""
    rate, start, end = 2.0, jnp.array([0.0, 1.0, 0.3]), jnp.array([1.0, 1.0, 0.9])
    between = IntervalSolve(lambda t, z, rate: rate * jnp.cos(t) + 0 * z, solve)

    def final(rate, start, end):
        z, stats = between(jnp.ones((3, 1)), start, end, rate)
        return z[:, 0], stats

    z, stats = jax.jit(final)(rate, start, end)
    np.testing.assert_allclose(z, 1 + rate * (jnp.sin(end) - jnp.sin(start)), atol=1e-5)
    assert stats.nfe.shape == ((3,) if solve.per_sample else ())
    if solve.per_sample:
        assert stats.nfe[1] == 0  # an interval of length 0
    slopes = jax.jit(jax.grad(lambda *x: final(*x)[0].sum(), (0, 2)))(rate, start, end)
    assert slopes[0] == pytest.approx(float((jnp.sin(end) - jnp.sin(start)).sum()), abs=1e-5)
    np.testing.assert_allclose(slopes[1], rate * jnp.cos(end), atol=1e-4)


def test_statistics_of_solves_in_turn_add_up():
    counts = jnp.array([[1, 2], [3, 4], [5, 6]])
    stats = total_stats(Stats(counts, counts, counts, jnp.array([[0, 0], [7, 0], [3, 2]])))
    assert stats.nfe.tolist() == [9, 12]
    assert stats.failure.tolist() == [7, 2]


def test_euler_steps_divide_the_gaps_as_published():
    times = np.array([[0.0, 0.1, 1.0], [2.0, 2.0, 2.0]], np.float32)
    steps = jax.device_get(jax.jit(euler_steps)(times, np.array([3, 1])))
    # Of 1/PARTS: LEAD holds none, 0.9 holds 45 (44 steps), 0.1 holds 5 (4 steps).
    counted = {1.0: 1, 0.9: 44, 0.1: 4}
    assert int((steps.length[0] > 0).sum()) == sum(counted.values())
    assert float(steps.length[0].sum()) == pytest.approx(1 + LEAD, rel=1e-5)
    assert steps.row[0][steps.arrives[0] > 0].tolist() == [2, 1, 0]
    assert steps.length[1].sum() == 0
    assert steps.arrives[1].tolist()[0] == 1
    assert steps.length.shape == (2, 3 + 2 * PARTS)


def test_missing_values_lie_on_lines(x64):
    times = np.array([[0.0, 1.0, 3.0, 4.0]])
    x = np.array([[[9.0, 9.0], [1.0, 9.0], [9.0, 9.0], [4.0, 9.0]]])
    seen = np.array([[[False, False], [True, False], [False, False], [True, False]]])
    found = np.asarray(jax.jit(filled)(x, seen, times))
    assert found[0, :, 0].tolist() == [1.0, 1.0, 3.0, 4.0]
    assert found[0, :, 1].tolist() == [0.0] * 4


def test_a_control_passes_through_its_points(x64):
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.1, 1, (2, 6)), 1)
    x = rng.normal(size=(2, 6, 3))
    a, b, c, d = map(np.asarray, jax.jit(hermite_pieces)(x, times))
    h = np.diff(times, axis=1)[..., None]
    np.testing.assert_allclose(a + h * (b + h * (c + h * d)), x[:, 1:], atol=1e-12)
    ends = b + h * (2 * c + 3 * h * d)
    np.testing.assert_allclose(ends[:, :-1], b[:, 1:], atol=1e-10)  # no jump of the slope


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"model": "lstm"}, "model must be one of"),
        ({"model": "gru_d", "outputs": 0}, "outputs must be"),
        ({"encoder": "cnn"}, "encoder must be one of"),
        ({"hidden": 0}, "hidden must be"),
    ],
)
def test_wrong_settings_are_refused(values, text):
    with pytest.raises(ConfigError, match=text):
        SeriesModelConfig(**{"channels": 2, "outputs": 1, **values})


def test_regularisers_are_refused_where_no_penalty_could_come_back():
    solve = SolveConfig("euler", step_size=1.0, regularise="kinetic=1")
    with pytest.raises(ConfigError, match="regularise must be None for solves between rows"):
        IntervalSolve(lambda t, z: -z, solve)


def test_settings_come_back_from_json():
    config = SeriesModelConfig(2, 3, "gru_d", hidden=7)
    assert SeriesModelConfig.from_json(vars(config)) == config
    with pytest.raises(ConfigError, match=r"series\.json must have activation, channels"):
        SeriesModelConfig.from_json({"channels": 2})
    with pytest.raises(ConfigError, match="hidden must be of type int"):
        SeriesModelConfig.from_json({**vars(config), "hidden": "7"})
