"""What Weights & Biases is told, by a stand-in for its package with the same calls."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from lines_fitted import CONFIG, StopAfter

from jaxode.callbacks import WandB
from jaxode.checks import ConfigError
from jaxode.errors import RunFailed, Stopped


class Refused(Exception):
    """In place of wandb.Error."""


class Library:
    """In place of the package: keeps what its runs are told."""

    Error = Refused

    def __init__(self):
        self.runs, self.refuses = [], ""

    def init(self, **settings):
        if self.refuses == "init":
            raise Refused("api_key not configured (no-tty).\ncall wandb login")
        run = SimpleNamespace(
            settings=settings,
            id=settings.get("id", "abc123"),
            rows=[],
            metrics=[],
            summary={},
            ended=None,
        )

        def log(numbers, step):
            if self.refuses == "log":
                raise Refused("the service has ended")
            run.rows.append((step, numbers))

        run.log = log
        run.define_metric = lambda name, step_metric: run.metrics.append((name, step_metric))
        run.finish = lambda exit_code: setattr(run, "ended", exit_code)
        self.runs.append(run)
        return run


@pytest.fixture
def library(monkeypatch):
    found = Library()
    monkeypatch.setitem(sys.modules, "wandb", found)
    return found


def steps_of(run):
    return [step for step, row in run.rows if "step/loss" in row]


def test_steps_epochs_settings_and_summary_are_logged(fit_line, told, library, tmp_path):
    found = fit_line(WandB("lines", tags=["test"]), told, out=tmp_path / "run")
    (run,) = library.runs
    assert (run.settings["project"], run.settings["tags"]) == ("lines", ["test"])
    assert run.settings["dir"] == str(tmp_path / "run")
    assert run.settings["config"]["optim"]["lr"] == 0.05
    assert json.loads(json.dumps(run.settings["config"]))["data"]["dataset"] == "a line"
    assert steps_of(run) == list(range(1, 16))
    assert [row["step/loss"] for _, row in run.rows if "step/loss" in row] == [
        step.loss for step in told.steps
    ]
    assert [(step, row["epoch"]) for step, row in run.rows if "epoch" in row] == [
        (5, 1), (10, 2), (15, 3),
    ]  # fmt: skip
    assert run.rows[-1][1]["epoch/test_rmse"] == found.history[-1]["test_rmse"]
    assert run.metrics == [("epoch/*", "epoch")]
    assert run.summary["test_rmse"] == found.result["test_rmse"]
    assert run.ended == 0


def test_a_resumed_run_is_the_same_one_and_logs_no_step_twice(fit_line, library, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        fit_line(WandB("lines"), StopAfter(8), out=out)
    fit_line(WandB("lines"), out=out, resume=True)
    first, second = library.runs
    assert first.ended == 1
    assert "resume" not in first.settings
    assert (second.settings["id"], second.settings["resume"]) == (first.id, "allow")
    assert steps_of(first) + steps_of(second) == list(range(1, 16))
    epochs = [row["epoch"] for run in library.runs for _, row in run.rows if "epoch" in row]
    assert epochs == [1, 2, 3]


def test_what_it_refuses_is_one_line(fit_line, library, tmp_path):
    library.refuses = "init"
    with pytest.raises(ConfigError, match=r"^Weights & Biases: api_key not configured") as caught:
        fit_line(WandB("lines"))
    assert "\n" not in str(caught.value)
    library.refuses = "log"
    with pytest.raises(RunFailed, match=r"^Weights & Biases: the service has ended$"):
        fit_line(WandB("lines"), out=tmp_path / "run")
    assert library.runs[-1].ended == 1
    library.refuses = ""
    more = fit_line(WandB("lines"), out=tmp_path / "run", resume=True)
    assert len(more.history) == CONFIG.epochs


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"pip install 'jaxode\[wandb\]'"):
        WandB("lines")
