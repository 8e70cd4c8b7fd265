"""Training with regularisers: what is recorded, what it changes, resumes and divided batches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from lines_fitted import StopAfter
from runs import digests
from stubs import image_set, run_config, without_pictures

import jaxode
from jaxode.config import ModelConfig, OptimConfig, ParallelConfig, RunConfig, SolveConfig
from jaxode.data import ArrayDataset
from jaxode.errors import Stopped
from jaxode.models import create_model
from jaxode.nn import ODEBlock, solve_stats
from jaxode.nn.fields import DenseField
from jaxode.nn.regularisation import regularised_modules
from jaxode.tasks import Regression
from jaxode.train import fit
from jaxode.train.compiled_steps import CompiledSteps

X = np.random.default_rng(0).uniform(-1, 1, (32, 2)).astype(np.float32)
POINTS = {"input": X, "target": (X @ np.array([[0.0, 1.0], [-1.0, 0.0]])).astype(np.float32)}
TURN = ArrayDataset("a turn", POINTS, POINTS)
"""Points and where a quarter of a turn takes them: four steps of eight examples an epoch."""

ADAPTIVE = {"solver": "bosh3", "rtol": 1e-4, "atol": 1e-4}
FIXED = {"solver": "euler", "step_size": 0.25}


def config(epochs, **options):
    rule = OptimConfig("adam", lr=0.03, schedule="constant")
    return RunConfig(**{"epochs": epochs, "batch_size": 8, "optim": rule, **options})


def model(regularise=None, solve=None):
    """An ODE block in a chain that knows nothing of training."""
    field = DenseField(2, 8, rngs=nnx.Rngs(0), dtype=jnp.float32)
    block = ODEBlock(field, SolveConfig(**(solve or FIXED), regularise=regularise))
    return nnx.Sequential(block, lambda z, stats: z)


def trained(regularise, epochs=2, solve=None, **options):
    settings = config(epochs, **options)
    return fit(model(regularise, solve), Regression(), TURN, settings)


def energy(field, steps):
    """Mean of ∫ |f|²/2 dt of the points, by so many of Euler's steps."""
    z, found = jnp.asarray(X), 0.0
    for step in range(steps):
        slope = field(jnp.float32(step / steps), z)
        found += float(jnp.mean(slope**2)) / steps
        z = z + slope / steps
    return found


def test_the_penalty_has_a_name_of_its_own_and_the_loss_is_the_tasks():
    plain, tiny = trained(None), trained("kinetic=1e-30")
    assert "penalty" not in plain.history[0]
    names = [name for name in tiny.history[0] if name != "penalty"]
    assert names == list(plain.history[0])
    assert [line["loss"] for line in tiny.history] == pytest.approx(
        [line["loss"] for line in plain.history], rel=1e-5
    )
    assert all(0 < line["penalty"] < 1e-28 for line in tiny.history)


def test_the_first_penalty_is_that_of_the_initial_model():
    """Of one step, over all points: the weighted integral, and half the sum of squares times 2."""
    found = trained("kinetic=3,weight_decay=2", 1, batch_size=32, solve=FIXED)
    field = model().layers[0].field
    squares = sum(
        float(jnp.sum(layer.kernel[...] ** 2))
        for layer in (field.linear1, field.linear2, field.linear3)
    )
    assert found.history[0]["penalty"] == pytest.approx(3 * energy(field, 4) + squares, rel=1e-5)


def test_a_regularised_field_is_slower_and_takes_fewer_evaluations():
    plain, calm = (trained(each, 25, ADAPTIVE) for each in (None, "kinetic=0.2"))
    assert energy(calm.model.layers[0].field, 50) < 0.8 * energy(plain.model.layers[0].field, 50)
    assert calm.history[-1]["nfe_forward"] < plain.history[-1]["nfe_forward"]
    assert calm.history[-1]["test_loss"] < 0.5 * calm.history[0]["test_loss"]


def test_a_stopped_run_goes_on_bit_for_bit_and_is_loaded(tmp_path, monkeypatch):
    regularise = "kinetic=1,jacobian=1,steer=0.3,weight_decay=0.1"
    without_pictures(monkeypatch)

    def go(out, *callbacks, **options):
        network = model(regularise)
        return fit(network, Regression(), TURN, config(2), out=out, callbacks=callbacks, **options)

    whole = go(tmp_path / "whole")
    with pytest.raises(Stopped):
        go(tmp_path / "parts", StopAfter(2))
    parts = go(tmp_path / "parts", resume=True)
    assert digests(tmp_path / "parts").items() >= {list(digests(tmp_path / "whole").items())[-1]}
    assert parts.history[-1]["penalty"] == whole.history[-1]["penalty"]
    loaded = jaxode.load(tmp_path / "whole", model=model(regularise))
    expected = whole.model(jnp.asarray(X))
    np.testing.assert_array_equal(loaded.predict(X), expected)
    assert solve_stats(whole.model).accepted.tolist() == [4]


def classifier(*_, image_shape, classes, rngs, dtype, **options):
    """A block between two linear maps, of the means of an image's rows."""
    options = {"rngs": rngs, "dtype": dtype}

    class Rows(nnx.Module):
        def __init__(self):
            field = DenseField(28, 8, **options)
            every = "kinetic=1,jacobian=0.1,steer=0.3,weight_decay=0.1"
            self.block = ODEBlock(field, SolveConfig(**FIXED, regularise=every))
            self.head = nnx.Linear(28, classes, param_dtype=dtype, **options)

        def __call__(self, images):
            return self.head(self.block(images.mean((2, 3)))[0])

    return Rows()


def test_a_divided_batch_has_the_penalty_of_the_whole(x64):
    """Padding too: 70 images are five batches of 16 places."""
    ends = []
    for parts in (1, 4):
        settings = run_config(precision="float64", parallel=ParallelConfig(accumulate=parts))
        steps = CompiledSteps(settings, image_set(), classifier)
        state = steps.first_state()
        steps.compile(state)
        key, batches = steps.epoch(0)
        ends.append(jax.device_get(steps.train(state, key, batches, 5)))
    whole, divided = ends
    assert float(whole.totals.penalty) > 0.1
    assert whole.totals.penalty == pytest.approx(divided.totals.penalty, rel=1e-12)
    for one, other in zip(*(jax.tree.leaves(end.params) for end in ends), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_regularised_odenet_evaluates_with_the_bits_of_one_without():
    images, found = image_set(train=4, test=4).test_images / 255.0, []
    for regularise in (None, "jacobian=1,weight_decay=1"):
        network = create_model(
            ModelConfig("odenet", blocks=2, width=4),
            SolveConfig(**FIXED, regularise=regularise),
            image_shape=images.shape[1:],
            classes=10,
            rngs=nnx.Rngs(0),
        )
        assert len(regularised_modules(network)) == (0 if regularise is None else 2)
        graph, params = nnx.split(network, nnx.Param)
        logits = jax.jit(lambda params, z, graph=graph: nnx.merge(graph, params)(z)[0])
        found.append(np.asarray(logits(params, jnp.asarray(images, jnp.float32))).tobytes())
    assert found[0] == found[1]
