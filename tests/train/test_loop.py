"""Whole runs with a stub for a model: files, figures, refusals and failures."""

import dataclasses
import io
import json
import os
import signal
import threading

import jax
import numpy as np
import pytest
from runs import digests, go, lines
from stubs import image_set, run_config

from jaxode.checks import ConfigError
from jaxode.config.migration import stored
from jaxode.data import ImageSet
from jaxode.errors import RunFailed, Stopped
from jaxode.runs import Progress
from jaxode.tasks import Classification
from jaxode.train import compiled_steps
from jaxode.train.compiled_steps import CompiledSteps

pytestmark = pytest.mark.usefixtures("undrawn")

KEYS = """dataset data train_images test_images model blocks parameters solver gradient rtol atol
nfe_forward epochs seed test_accuracy train_accuracy
train_seconds_per_epoch eval_seconds_per_epoch compile_seconds device versions commit"""


class Disguised(ImageSet):
    """Images that claim to be those of `image_set()`."""

    @property
    def fingerprint(self):
        return image_set().fingerprint


def test_a_run_leaves_its_files(whole):
    out, result = whole
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "dataset.json",
        "metrics.jsonl",
        "result.json",
        "curves.png",
        "confusion.png",
        "images.npz",
        "checkpoints",
    }
    assert json.loads((out / "result.json").read_text()) == result
    assert json.loads((out / "config.json").read_text()) == stored(run_config().to_json())
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [line["epoch"] for line in lines(out)] == [1, 2, 3]


def test_the_result_has_what_is_promised(whole):
    _, result = whole
    assert set(KEYS.split()) <= set(result)
    assert result["status"] == "complete"
    assert (result["train_images"], result["test_images"], result["epochs"]) == (70, 23, 3)
    assert result["parameters"] == 49 * 10 + 10
    assert result["nfe_per_block"] == [20, 40]
    assert result["nfe_forward"] == 30
    assert (result["accepted"], result["rejected"]) == (4.5, 0.5)
    assert result["versions"]["jax"] == jax.__version__
    for name in (
        "train_seconds_per_epoch",
        "eval_seconds_per_epoch",
        "compile_seconds",
        "images_per_second",
    ):
        assert result[name] > 0


def test_training_learns(whole):
    out, _ = whole
    losses = [line["loss"] for line in lines(out)]
    assert losses[0] > losses[1] > losses[2]


def test_every_epoch_sees_other_crops_in_another_order(tmp_path):
    out = tmp_path / "run"
    go(out, run_config(epochs=2).replaced(lr=1e-20))
    first, second = lines(out)
    assert first["test_loss"] == second["test_loss"]  # the parameters stand still
    assert first["loss"] != second["loss"]


@pytest.mark.parametrize(
    ("fail", "text"), [("nan", "the loss is not finite"), ("solve", "raise max_steps")]
)  # fmt: skip
def test_a_failure_names_epoch_and_step_and_saves_nothing(tmp_path, fail, text):
    out, clean, poisoned = tmp_path / "run", image_set(), image_set(poisoned=(40,))
    go(out, run_config(epochs=1), clean)
    before = digests(out)
    poisoned = Disguised(
        **{field.name: getattr(poisoned, field.name) for field in dataclasses.fields(poisoned)}
    )
    with pytest.raises(RunFailed, match=rf"epoch 2, step \d of 5: .*{text}") as caught:
        go(out, run_config(epochs=2), poisoned, fail)
    assert "\n" not in str(caught.value)
    assert digests(out) == before
    result = json.loads((out / "result.json").read_text())
    assert (result["status"], result["epochs"], result["error"]) == ("failed", 1, str(caught.value))


def test_the_best_checkpoint_is_kept(whole):
    out, result = whole
    assert f"epoch-{result['best_epoch']:05d}-step-{5 * result['best_epoch']:010d}" in digests(out)


def test_settings_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="jax_enable_x64"):
        go(tmp_path / "a", run_config(precision="float64"))
    with pytest.raises(ConfigError, match="data must be full"):
        go(tmp_path / "b", run_config().replaced(data="sample"))
    monkeypatch.setattr(compiled_steps, "MOST_STEPS", 1)
    with pytest.raises(ConfigError, match="32 bits"):
        go(tmp_path / "c", run_config(epochs=3))


def test_one_seed_gives_one_result_and_another_another(whole, tmp_path):
    out, _ = whole
    go(tmp_path / "same")
    go(tmp_path / "other", run_config(seed=1))
    assert digests(tmp_path / "same") == digests(out)
    assert not np.isclose(lines(tmp_path / "other")[0]["loss"], lines(out)[0]["loss"], rtol=1e-6)


def test_a_gradient_that_is_never_finite_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxode.train.scaling.START", 4.0)
    with pytest.raises(
        RunFailed, match="epoch 1, step 3 of 5: the gradient in float16 is not finite"
    ):
        go(tmp_path / "run", run_config(precision="float16"), fail="slope")


def test_training_images_can_be_evaluated_at_the_end_alone(tmp_path, whole):
    _, usual = whole
    out = tmp_path / "run"
    result = go(out, run_config().replaced(train_evaluation="last"))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["train_accuracy"] is None for line in lines] == [True, True, False]
    assert [line["test_accuracy"] is None for line in lines] == [False, False, False]
    for name in ("train_accuracy", "train_macro_f1", "test_accuracy", "test_loss"):
        assert result[name] == usual[name]


def test_a_signal_while_xla_compiles_stops_at_once_and_the_run_goes_on_later(tmp_path, monkeypatch):
    go(tmp_path / "whole")
    compiled, finish = CompiledSteps.compile, threading.Event()

    def compiling(self, state, wait):
        wait(lambda: (os.kill(os.getpid(), signal.SIGTERM), finish.wait(60)))

    monkeypatch.setattr(CompiledSteps, "compile", compiling)
    stream = io.StringIO()
    with pytest.raises(Stopped) as stopped:
        go(tmp_path / "run", progress=Progress(stream=stream))
    finish.set()
    assert stopped.value.compiling
    assert [line.split(";")[0] for line in stream.getvalue().splitlines()] == [
        "compiling ...",
        "SIGTERM: stopping",
    ]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "stopped"
    monkeypatch.setattr(CompiledSteps, "compile", compiled)
    go(tmp_path / "run")
    assert lines(tmp_path / "run") == lines(tmp_path / "whole")
    assert digests(tmp_path / "run") == digests(tmp_path / "whole")


def test_a_signal_while_the_model_is_built_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        CompiledSteps, "first_state", lambda self: os.kill(os.getpid(), signal.SIGTERM)
    )
    with pytest.raises(Stopped):
        go(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_signal_while_the_last_pictures_are_drawn_is_not_lost(tmp_path, monkeypatch):
    drawn = Classification.plots

    def draw(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return drawn(*arguments)

    monkeypatch.setattr(Classification, "plots", draw)
    with pytest.raises(Stopped) as stopped:
        go(tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == "complete"
    assert stopped.value.result == result
