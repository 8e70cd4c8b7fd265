"""What callbacks are told, that they change no bit, and how they end a run."""

from __future__ import annotations

import json
import traceback

import numpy as np
import pytest
from lines_fitted import fit_a_line
from runs import OneRow, StopAt, digests, go, lines
from stubs import run_config, without_pictures

from jaxode import OptimConfig, RunConfig
from jaxode.callbacks import Callback, EarlyStopping
from jaxode.callbacks.calls import Callbacks
from jaxode.checks import ConfigError
from jaxode.errors import RunFailed, Stopped


def test_each_step_and_epoch_is_told_once_in_order(fit_line, told):
    found = fit_line(told)
    assert [step.step for step in told.steps] == list(range(1, 16))
    assert [step.epoch for step in told.steps] == 5 * [1] + 5 * [2] + 5 * [3]
    assert told.epochs == found.history
    assert told.ends == [found.result]
    assert (told.run.steps_per_epoch, told.run.parameters, told.run.step) == (5, 2, 0)
    for metrics in found.history:  # an epoch's loss is the mean over its images
        losses = [step.loss for step in told.steps if step.epoch == metrics["epoch"]]
        assert np.mean(losses) == pytest.approx(metrics["loss"], rel=1e-5)
    # A tenth from steps 4, 9 and 13 of 15 on.
    rates = [step.lr for step in told.steps]
    assert rates == 4 * [0.05] + 5 * [0.005] + 4 * [0.0005] + 2 * [5e-05]
    assert {step.nfe for step in told.steps} == {None}


def test_the_gradient_norm_is_that_of_the_update(fit_line, told):
    """Without momentum the parameters move by the rate times the gradient."""
    one = RunConfig(epochs=1, batch_size=20, optim=OptimConfig(lr=0.05, momentum=0.0))
    found = fit_line(told, config=one)
    (step,) = told.steps
    start = fit_line(config=one.replaced(lr=1e-30)).model
    moved = [
        np.asarray(getattr(found.model, name)[...] - getattr(start, name)[...]).ravel()
        for name in ("kernel", "bias")
    ]
    assert step.gradient_norm == pytest.approx(np.linalg.norm(np.concatenate(moved)) / 0.05, 1e-4)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "plain"
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        go(out)
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The last checkpoint of a run that nothing interrupts, and its digest."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        fit_a_line(out=out)
    return max(digests(out).items())


@pytest.fixture
def undrawn(monkeypatch):
    without_pictures(monkeypatch)


def test_a_run_has_the_same_bits_with_callbacks(plain, tmp_path, told, undrawn):
    go(tmp_path / "run", callbacks=[told])
    assert digests(tmp_path / "run") == digests(plain)
    assert lines(tmp_path / "run") == lines(plain)
    assert told.steps[0].nfe == 30  # the mean of two blocks of 20 and 40
    assert (told.steps[0].accepted, told.steps[0].rejected) == (4.5, 0.5)


def test_a_resumed_run_tells_the_rest(tmp_path, told, undrawn):
    out, first = tmp_path / "run", type(told)()
    with pytest.raises(Stopped):
        go(out, progress=StopAt(9 + 7), pace=OneRow(), callbacks=[first])
    assert first.ends[0]["status"] == "stopped"
    go(out, callbacks=[told])
    assert told.run.step == first.steps[-1].step
    assert len(told.run.history) == len(first.epochs) > 0
    assert [step.step for step in [*first.steps, *told.steps]] == list(range(1, 16))


def test_steps_are_read_only_where_a_callback_asks_for_them(told):
    class Epochs(Callback):
        def on_epoch(self, metrics):
            pass

    assert not Callbacks([Epochs(), EarlyStopping()]).want_steps
    assert Callbacks([Epochs(), told]).want_steps


def test_a_callback_ends_the_run_after_the_epoch(fit_line, told, tmp_path, whole):
    class Enough(Callback):
        def on_start(self, run):
            self.run = run

        def on_step(self, step):
            if step.step == 7:
                self.run.stop("seven steps are enough")

    result = fit_line(Enough(), told, out=tmp_path / "run").result
    assert len(told.steps) == 10
    assert result["status"] == "stopped_early"
    assert result["stopped_early"] == {"epoch": 2, "reason": "seven steps are enough"}
    assert (result["epochs"], result["epochs_planned"]) == (2, 3)
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    assert (tmp_path / "run" / "images.npz").exists()
    # Without the callback it goes on to what an uninterrupted run is.
    rest = fit_line(out=tmp_path / "run", resume=True)
    assert rest.result["status"] == "complete"
    assert "stopped_early" not in rest.result
    assert max(digests(tmp_path / "run").items()) == whole


def test_early_stopping_depends_on_the_history_alone(fit_line, tmp_path):
    stopping = EarlyStopping(patience=1, min_delta=10.0)  # no epoch is better than the first
    found = fit_line(stopping, out=tmp_path / "run")
    assert found.result["stopped_early"]["epoch"] == 2
    again = fit_line(EarlyStopping(patience=1, min_delta=10.0), out=tmp_path / "run", resume=True)
    assert (again.result["status"], len(again.history)) == ("stopped_early", 2)


@pytest.mark.parametrize("method", ["on_start", "on_step", "on_epoch", "on_end"])
def test_an_error_of_a_callback_reaches_the_caller_and_nothing_is_lost(
    fit_line, told, tmp_path, method, whole
):
    def broken(self, told):
        if not isinstance(told, tuple) or told.step == 7:
            raise KeyError("mine")

    out = tmp_path / "run"
    with pytest.raises(KeyError, match="mine") as caught:
        fit_line(type("Mine", (), {method: broken})(), told, out=out)
    assert "in broken" in "".join(traceback.format_exception(caught.value))
    result = json.loads((out / "result.json").read_text())
    if method == "on_end":
        assert result["status"] == "complete"
    else:
        assert (result["status"], result["error"]) == ("failed", f"Mine.{method}: KeyError: 'mine'")
    ends = [] if method == "on_start" else [result["status"]]
    assert [end["status"] for end in told.ends] == ends
    if method == "on_step":
        assert max(digests(out)) >= "epoch-00001-step-0000000007"
        fit_line(out=out, resume=True)
        assert max(digests(out).items()) == whole


def test_the_steps_before_a_failure_are_told(fit_line, told):
    with pytest.raises(RunFailed, match="not finite"):
        fit_line(told, config=run_config().replaced(lr=1e30, batch_size=4))
    assert 0 < len(told.steps) < 15
    assert all(np.isfinite(step.loss) for step in told.steps)
    assert told.ends[0]["status"] == "failed"
    assert "not finite" in told.ends[0]["error"]


@pytest.mark.parametrize("wrong", [3, Callback, object()])
def test_what_is_no_callback_is_refused(fit_line, wrong):
    with pytest.raises(ConfigError, match="callbacks must be objects with some of on_start"):
        fit_line(wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patience": 0}, "patience"),
        ({"monitor": "test_loss"}, "monitor and mode must be given together"),
        ({"monitor": "test_loss", "mode": "least"}, "mode must be max or min"),
        ({"min_delta": -1.0}, "min_delta must be at least 0"),
    ],
)
def test_early_stopping_checks_its_settings(options, words):
    with pytest.raises(ConfigError, match=words):
        EarlyStopping(**options)


def test_a_metric_that_does_not_exist_is_named(fit_line):
    with pytest.raises(ConfigError, match=r"monitor must be one of loss, .*, got 'accuracy'"):
        fit_line(EarlyStopping(monitor="accuracy", mode="max"))
