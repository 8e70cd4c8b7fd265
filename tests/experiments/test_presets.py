"""Every experiment's preset is built and trained for two steps."""

import importlib
import pkgutil

import jax
import numpy as np
import pytest

import experiments
from jaxode.config import PRESETS as PRESETS_BY_DATASET
from jaxode.config import RunConfig
from jaxode.data import SPECS, ImageSet
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.step import train_step

MODULES = [
    importlib.import_module(f"experiments.{found.name}")
    for found in pkgutil.iter_modules(experiments.__path__)
]
PRESETS = {
    module.__name__: module.PRESET
    for module in MODULES
    if isinstance(getattr(module, "PRESET", None), RunConfig)
}


def made_up(dataset: str, count: int) -> ImageSet:
    """Noise in the shape of a data set."""
    spec, rng = SPECS[dataset], np.random.default_rng(0)
    images = rng.integers(0, 256, (count, spec.image_size, spec.image_size, spec.channels)).astype(
        np.uint8
    )
    labels = rng.integers(0, spec.classes, count).astype(np.int32)
    return ImageSet(dataset, "full", images, labels, images[:2], labels[:2], spec)


def test_no_preset_is_forgotten():
    assert set(PRESETS) >= {f"experiments.{name}" for name in SPECS}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_for_two_steps(name):
    config = PRESETS[name].replaced(batch_size=2, epochs=1)
    data = made_up(config.data.dataset, 4)
    steps = CompiledSteps(config, data)
    state = steps.first_state()
    before = jax.device_get(state.params)

    def read(rows):
        images, labels, keys = rows
        stored = {"image": images, "label": labels, "key": keys}
        return steps.work.views.training({**stored, "weight": np.ones(2, np.float32)})

    @jax.jit
    def step(state, rows):
        state, _ = train_step(
            steps.work.graphdef, steps.task, steps.transform, state, rows, np.float32(2), read
        )
        return state

    for number in (0, 1):
        part = slice(2 * number, 2 * number + 2)
        keys = jax.random.split(jax.random.key(number), 2)
        state = step(state, (data.train_images[part], data.train_labels[part], keys))
    totals = state.totals
    assert (int(totals.batches), int(totals.images), int(totals.bad_batch)) == (2, 4, -1)
    assert np.isfinite(totals.loss)
    assert totals.nfe.tolist() == (2 * 2 + 6 * (totals.accepted + totals.rejected)).tolist()
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(state.params), strict=True):
        assert not np.array_equal(old, new)


def test_an_experiment_says_first_what_its_preset_says():
    for name in SPECS:
        preset = PRESETS_BY_DATASET[name]
        module = importlib.import_module(f"experiments.{name}")
        assert preset.config == module.PRESET
        assert module.__doc__.splitlines()[0] == preset.summary
