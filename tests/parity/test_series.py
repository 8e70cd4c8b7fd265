"""Models of time series against torchdiffeq and torchcde, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")
pytest.importorskip("torchcde")

from series import as_ours, as_series, irregular_pair, recurrent, spiral_pair  # noqa: E402
from torch_records import records  # noqa: E402

from jaxode import SolveConfig  # noqa: E402
from jaxode.losses import cross_entropy  # noqa: E402
from jaxode.models.encoders import euler_steps  # noqa: E402
from jaxode.nn.control import Control, hermite_pieces, points_of  # noqa: E402
from jaxode.tasks.latent_series import LatentSeries  # noqa: E402
from torch_ref import cde  # noqa: E402
from torch_ref.odenet_mnist import round_anew  # noqa: E402
from torch_ref.records import classification_loss  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402

pytestmark = pytest.mark.usefixtures("x64")

OUTPUT, EXACT, ADJOINT = 1e-11, 1e-10, 1e-9
MEANS = np.array([0.1, -0.2, 0.3])
LABELS = np.array([1, 0, 1])


def error(a, b):
    return np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)


def check_gradients(gradients, pairs, model, bound):
    """All parameters together, for some have a gradient of zero but for rounding."""
    assert len(jax.tree.leaves(gradients)) == len(pairs)
    found = {id(mine): path for path, mine in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    flat = dict(nnx.to_flat_state(gradients))
    one = [np.ravel(flat[found[id(mine)]].get_value()) for mine, _, _ in pairs]
    other = [np.ravel(as_ours(theirs.grad, turned)) for _, theirs, turned in pairs]
    assert error(np.concatenate(one), np.concatenate(other)) <= bound


@pytest.mark.parametrize("kind", ["rnn-delta", "gru-d", "ode-rnn", "cde"])
def test_recurrent_models(kind):
    ours, theirs, pairs = recurrent(kind, MEANS)
    given = records()
    series = as_series(given)
    wanted = classification_loss(theirs, given, torch.tensor(LABELS))
    wanted.backward()

    @nnx.jit
    def work(model):
        def loss(model):
            logits, stats = model(series)
            return cross_entropy(logits, jnp.asarray(LABELS), jnp.ones(3)), (logits, stats)

        return nnx.value_and_grad(loss, has_aux=True)(model)

    (loss, (logits, stats)), gradients = work(ours)
    assert error(logits, theirs(given).detach().numpy()) <= OUTPUT
    assert float(loss) == pytest.approx(wanted.item(), rel=OUTPUT)
    assert stats.nfe.shape == ((1,) if kind in ("ode-rnn", "cde") else (0,))
    check_gradients(gradients, pairs, ours, EXACT)


@pytest.mark.parametrize(
    ("kind", "per_sample", "tolerance"),
    [
        ("ode-rnn", True, 1e-6),
        # The control and the field have kinks, at which the steps of smaller ones amplify rounding.
        ("cde", True, 1e-4),
        pytest.param("cde, one solve", False, 1e-4, marks=pytest.mark.slow),
    ],
)
def test_recurrent_models_with_adaptive_steps(kind, per_sample, tolerance):
    both = {"rtol": tolerance, "atol": tolerance}
    settings = Settings(**both)
    solve = SolveConfig(**both, stepping="torchdiffeq", per_sample=per_sample)
    ours, theirs, pairs = recurrent(kind.split(",")[0], MEANS, settings, solve)
    theirs.shared_knots = not per_sample
    given = records()
    theirs(given, every=kind == "ode-rnn").square().sum().backward()
    ours.every = kind == "ode-rnn"

    @nnx.jit
    def work(model):
        def loss(model):
            outputs, stats = model(as_series(given))
            return (outputs**2).sum(), stats

        return nnx.grad(loss, has_aux=True)(model)

    gradients, stats = work(ours)
    assert int(stats.nfe.sum()) == theirs.solver.counts.nfe
    check_gradients(gradients, pairs, ours, EXACT)


def test_a_control_is_torchcdes():
    given = records(seed=3, lengths=(5, 3, 5))
    series = as_series(given)

    @jax.jit
    def points_and_slope(series, t):
        x = points_of(series, series.times)
        control = Control(series.times, series.lengths - 1, hermite_pieces(x, series.times))
        return x, control.slope(t)

    for i, record in enumerate(given.each()):
        path = cde.path(record)
        spline = cde.control(path, record.times)
        for k in range(len(record.times) - 1):
            for share in (0.0, 0.3, 1.0):
                t = record.times[k] + share * (record.times[k + 1] - record.times[k])
                x, slope = map(np.asarray, points_and_slope(series, np.full(3, t.item())))
                np.testing.assert_allclose(slope[i], spline.derivative(t), rtol=1e-10, atol=1e-11)
        values = torch.stack([spline.evaluate(time) for time in record.times]).numpy()
        np.testing.assert_allclose(x[i, : len(values)], values, atol=1e-13)


@pytest.mark.parametrize("gradient", ["tape", pytest.param("backsolve", marks=pytest.mark.slow)])
def test_the_latent_ode_of_torchdiffeqs_example(gradient):
    ours, theirs, pairs = spiral_pair(gradient)
    x, times, noise = spiral_batch()
    wanted = theirs.loss(*map(torch.tensor, (x, times, noise)))
    forward = theirs.func.nfe
    wanted.backward()

    @nnx.jit
    def work(model):
        return nnx.value_and_grad(lambda model: spiral_loss(model, x, times, noise), has_aux=True)(
            model
        )

    (loss, stats), gradients = work(ours)
    assert float(loss) == pytest.approx(wanted.item(), rel=OUTPUT)
    assert int(stats.nfe[0]) == forward
    check_gradients(gradients, pairs, ours, ADJOINT if gradient == "backsolve" else EXACT)


def spiral_batch(seed=0):
    """Noise by a seed, for six spirals that are always the same."""
    rng = np.random.default_rng(1)
    times = np.linspace(0, 3, 12)
    phase = rng.uniform(0, 6, (6, 1))
    x = np.stack([np.sin(times + phase), np.cos(times + phase)], 2) * (1 + 0.1 * times[:, None])
    noise = np.random.default_rng(seed).normal(size=(6, 4))
    return x + 0.1 * rng.normal(size=x.shape), times, noise


def spiral_loss(model, x, times, noise):
    """The task's loss for given noise."""
    every = jnp.ones_like(jnp.asarray(x))
    batch = {
        "times": jnp.tile(jnp.asarray(times), (len(x), 1)),
        "values": jnp.asarray(x),
        "mask": every,
        "lengths": jnp.full(len(x), x.shape[1]),
        "weight": jnp.ones(len(x)),
    }
    task = LatentSeries(noise_std=0.3)
    series = task.series(batch)
    outputs, stats = model.predict(series, batch["times"], jnp.asarray(noise)[None])
    return task.losses(outputs, batch).mean(), stats


def torch_losses(seed=None):
    """A hundred losses of torchdiffeq; with a seed, of weights that are rounded anew every step."""
    _, model, _ = spiral_pair("tape")
    rule = torch.optim.Adam(model.parameters(), 0.01)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    found = []
    for batch in map(spiral_batch, range(100)):
        if generator is not None:
            round_anew(model, generator)
        rule.zero_grad()
        loss = model.loss(*map(torch.tensor, batch))
        loss.backward()
        rule.step()
        found.append(loss.item())
    return np.array(found)


@pytest.mark.slow
def test_a_hundred_losses_of_the_latent_ode():
    """They part by no more than torchdiffeq's own, where rounding turns a ReLU or a step."""
    graph, params = nnx.split(spiral_pair("tape")[0], nnx.Param)
    transform = optax.adam(0.01)
    state = transform.init(params)

    @jax.jit
    def step(params, state, x, times, noise):
        def loss(params):
            return spiral_loss(nnx.merge(graph, params), x, times, noise)[0]

        value, slope = jax.value_and_grad(loss)(params)
        updates, state = transform.update(slope, state)
        return optax.apply_updates(params, updates), state, value

    found = []
    for batch in map(spiral_batch, range(100)):
        params, state, value = step(params, state, *map(jnp.asarray, batch))
        found.append(float(value))
    wanted = torch_losses()
    own = np.maximum.accumulate(np.abs(torch_losses(0) - wanted) / wanted)
    differences = np.abs(found - wanted) / wanted
    assert np.all(differences[:20] <= 1e-9)
    assert np.all(differences <= np.maximum(1e-9, 10 * own))


@pytest.mark.parametrize("gradient", ["tape", pytest.param("replay", marks=pytest.mark.slow)])
def test_the_latent_ode_of_irregular_records(gradient):
    ours, theirs, pairs = irregular_pair(gradient)
    given = records()
    labels = np.array([1.0, np.nan, 0.0])
    noise = np.random.default_rng(0).normal(size=(1, 3, 2))
    parts = theirs.parts(
        given, torch.tensor(noise), divergence_weight=0.7, labels=torch.tensor(labels)
    )
    forward = theirs.solver.counts.nfe
    parts.loss.backward()
    series = as_series(given)
    task = LatentSeries(noise_std=0.01, likelihood="mean", outcome="label", label_weight=100.0)
    batch = {
        **series._asdict(),
        "label": jnp.asarray(labels),
        "divergence_weight": jnp.full(3, 0.7),
        "weight": jnp.ones(3),
    }

    @nnx.jit
    def work(model):
        def loss(model):
            outputs, stats = model.predict(series, series.times, jnp.asarray(noise))
            known = jnp.array([1.0, 0.0, 1.0])
            share = 3 / known.sum()  # the cross-entropy is a mean over known outcomes there
            return task.losses(outputs, batch, label_share=share).mean(), (outputs, stats)

        return nnx.value_and_grad(loss, has_aux=True)(model)

    (loss, (outputs, stats)), gradients = work(ours)
    mean, std = theirs.posterior(given)
    assert error(outputs.posterior.mean, mean.detach().numpy()) <= OUTPUT
    assert error(outputs.posterior.std, std.detach().numpy()) <= OUTPUT
    assert float(loss) == pytest.approx(parts.loss.item(), rel=OUTPUT)
    assert int(stats.nfe.sum()) == forward
    check_gradients(gradients, pairs, ours, EXACT)


def test_the_encoders_steps_are_those_of_the_published_code():
    _, theirs, _ = irregular_pair("tape")
    given = records(lengths=(4, 1, 5))
    theirs.encoder.field.nfe = 0
    theirs.posterior(given)
    series = as_series(given)
    steps = jax.device_get(jax.jit(euler_steps)(series.times, series.lengths))
    assert int((steps.length > 0).sum()) == theirs.encoder.field.nfe
    assert steps.arrives.sum(1).tolist() == [4, 1, 5]
