"""`fit` with a directory: what the command writes, loaded again, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from lines_fitted import CONFIG, LINE, StopAfter, X, fit_a_line
from runs import digests
from stubs import without_pictures

import jaxode
from jaxode import ConfigError, DataConfig, ModelConfig, RunConfig, SolveConfig
from jaxode.cli import main as command
from jaxode.errors import ResumeError, Stopped
from jaxode.inference import TrainedModule
from jaxode.ode import Stats
from jaxode.runs import Progress, read_config
from jaxode.tasks import Classification, Regression
from jaxode.train import fit, run
from jaxode.train.given_model import is_as_configured

DIGITS = RunConfig(
    model=ModelConfig("mlp"),
    data=DataConfig(data="sample", limit_train=48, limit_test=20),
    epochs=1,
    batch_size=16,
)
OPTIONS = {"image_shape": (28, 28, 1), "classes": 10}


class Rows(nnx.Module):
    """Means of an image's rows · linear."""

    def __init__(self, scale=1.0, classes=10):
        self.scale = scale
        self.linear = nnx.Linear(28, classes, rngs=nnx.Rngs(0))

    def __call__(self, images):
        return self.linear(self.scale * images.mean((2, 3)))


class Flow(nnx.Module):
    """One step of Euler's method, with its statistics."""

    def __init__(self):
        self.rate = nnx.Param(jnp.zeros(()))

    def __call__(self, x):
        one = jnp.ones((1,), jnp.int32)
        return x + self.rate[...] * x, Stats(one, one, 0 * one, 0 * one)


class Said(Progress):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def say(self, text):
        self.lines += text.splitlines()


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    without_pictures(monkeypatch)


@pytest.fixture(scope="module")
def digits():
    return jaxode.load_dataset("mnist", data="sample", limit_train=48, limit_test=20)


def test_a_registered_model_is_loaded_like_one_of_the_command(digits, tmp_path):
    key, _ = jax.random.split(jax.random.key(DIGITS.seed))
    model = jaxode.create_model(DIGITS.model, DIGITS.solve, **OPTIONS, rngs=nnx.Rngs(key))
    said, out = Said(), tmp_path / "fit"
    found = fit(model, Classification(10), digits, DIGITS, out=out, progress=said)
    (tmp_path / "run").mkdir()
    run(DIGITS, digits, tmp_path / "run")
    assert digests(out) == digests(tmp_path / "run")
    for name in ("config.json", "dataset.json"):
        assert (out / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    names = [sorted(p.name for p in folder.iterdir()) for folder in (out, tmp_path / "run")]
    assert names[0] == names[1]
    loaded = jaxode.load(out)
    assert jaxode.evaluate(loaded).accuracy == found.result["test_accuracy"]
    assert said.lines[-2:] == [
        f"results in {out}, pictures: confusion.png, curves.png",
        f"next: jaxode.load({str(out)!r})",
    ]


def test_a_model_of_ones_own_is_passed_once_more(digits, tmp_path, capsys):
    out, said = tmp_path / "run", Said()
    found = fit(Rows(), Classification(10), digits, DIGITS, out=out, progress=said)
    assert json.loads((out / "config.json").read_text())["model"]["model"] == f"{__name__}.Rows"
    result = json.loads((out / "result.json").read_text())
    assert (result["model"], result["solver"], result["blocks"]) == (f"{__name__}.Rows", None, 0)
    assert said.lines[-1] == f"next: jaxode.load({str(out)!r}, model=Rows(…))"
    loaded = jaxode.load(out, model=Rows())
    assert jaxode.evaluate(loaded).metrics["accuracy"] == found.result["test_accuracy"]
    predicted = loaded.predict(digits.test_images)
    with np.load(out / "images.npz") as stored:
        np.testing.assert_array_equal(predicted.labels, stored["predicted"])
    assert predicted.nfe is None
    with pytest.raises(ConfigError, match="Rows has its own solves"):
        jaxode.evaluate(loaded, rtol=0.1)
    with pytest.raises(ConfigError, match=r"run of .*\.Rows, which is not registered: pass the"):
        jaxode.load(out)
    with pytest.raises(ConfigError, match=r"is a run of .*\.Rows, not of .*\.Flow"):
        jaxode.load(out, model=Flow())
    with pytest.raises(ConfigError, match="has others"):
        jaxode.load(out, model=Rows(classes=9))
    capsys.readouterr()
    assert command.main(["predict", str(out), str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "jaxode.load(…, model=…)" in line


def test_a_model_of_another_task_gives_its_outputs(tmp_path):
    out = tmp_path / "run"
    found = fit(Flow(), Regression(), LINE, CONFIG, out=out)
    loaded = jaxode.load(out, model=Flow())
    assert isinstance(loaded, TrainedModule)
    assert loaded.epoch == 3
    outputs = loaded.predict(X, batch_size=8)
    np.testing.assert_allclose(outputs, found.model(X)[0], rtol=1e-6)
    assert float(loaded.model.rate[...]) == float(found.model.rate[...]) != 0
    with pytest.raises(ConfigError, match="inputs must be arrays of one length"):
        loaded.predict(X[:0])
    best = jaxode.load(out, checkpoint="best", model=Flow())
    assert best.epoch == found.result["best_epoch"]


def test_a_checkpoint_of_ones_own_model_is_loaded_by_its_directory(tmp_path):
    out = tmp_path / "run"
    found = fit(Flow(), Regression(), LINE, CONFIG, out=out)
    rates = {}
    for checkpoint in filter(Path.is_dir, (out / "checkpoints").iterdir()):
        loaded = jaxode.load(checkpoint, model=Flow())
        assert checkpoint.name.startswith(f"epoch-{loaded.epoch:05d}-")
        rates[loaded.epoch] = float(loaded.model.rate[...])
    assert rates.keys() >= {3, found.result["best_epoch"]}
    assert len(set(rates.values())) == len(rates)
    assert rates[3] == float(found.model.rate[...])
    with pytest.raises(ConfigError, match="must be a run's directory"):
        jaxode.load(out / "checkpoints" / "nothing", model=Flow())


def test_a_directory_with_a_run_is_gone_on_with_only_where_asked(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        fit_a_line(StopAfter(7), out=out)
    with pytest.raises(ConfigError, match="already holds a run"):
        fit_a_line(out=out)
    with pytest.raises(ResumeError, match=r"lr \(run has 0.05, requested 0.1\)"):
        fit_a_line(out=out, resume=True, config=CONFIG.replaced(lr=0.1))
    found = fit_a_line(out=out, resume=True)
    assert len(found.history) == 3
    more = fit_a_line(out=out, resume=True, config=CONFIG.replaced(epochs=4))
    assert more.result["extended_from"] == [{"epochs": 3, "after": 3}]
    again = fit_a_line(out=out, resume=True, config=CONFIG.replaced(epochs=4))  # complete
    assert again.result == more.result
    assert len(read_config(out, nnx.Linear).extended_from) == 1


def test_a_built_in_model_with_other_settings_is_not_taken_for_the_configured_one(digits):
    config = DIGITS.replaced(model="odenet", width=8)

    def made(**changes):
        solve = SolveConfig(**changes) if changes else config.solve
        return jaxode.create_model(config.model, solve, **OPTIONS, rngs=nnx.Rngs(1))

    assert is_as_configured(made(), digits, config)
    assert not is_as_configured(made(rtol=1e-5), digits, config)
    assert not is_as_configured(made(), digits, config.replaced(blocks=2))
    assert not is_as_configured(Rows(), digits, config)
    assert not is_as_configured(made(), LINE, config)
