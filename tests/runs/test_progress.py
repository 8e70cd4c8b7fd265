"""Progress of an epoch: a line that says whose counts it prints, a bar on a terminal."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from jaxode.runs.progress import LoggedProgress, Progress, epoch_line, usual_progress
from jaxode.tasks import Regression
from jaxode.train.bar import bar_values, seconds_left
from jaxode.train.state import Totals

RECORD = {
    "epoch": 2,
    "loss": 0.5,
    "train_accuracy": 0.75,
    "test_accuracy": 0.5,
    "nfe_forward": 32.0,
    "nfe_forward_train": 26.25,
    "accepted": 4.5,
    "rejected": 0.25,
    "lr": 0.1,
    "images_per_second": 200.0,
    "train_seconds": 2.0,
    "eval_seconds": 1.0,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_training_and_test_solves_are_not_mixed():
    line = epoch_line(RECORD, 4, ["test 50.00 %"])
    assert "loss 0.5000  test 50.00 %  nfe" in line
    assert "  nfe train 26.2 test 32.0  steps train 4.5+0.2  " in line
    without = epoch_line({**RECORD, "nfe_forward": None}, 4, [])
    assert "nfe" not in without
    assert "steps" not in without


def test_a_bar_on_a_terminal_counts_batches_and_goes_away():
    stream = Terminal()
    progress = Progress(stream=stream)
    progress.begin("epoch 2/4", 10, done=3)
    progress.bar.mininterval = 0  # redrawn at every advance
    progress.advance(2, loss="0.512")
    assert "epoch 2/4:  30%" in stream.getvalue()
    shown = stream.getvalue().split("\r")[-1]
    assert "5/10" in shown
    assert "loss=0.512" in shown
    progress.say(epoch_line(RECORD, 4, ["test 50.00 %"]))
    progress.begin("test images", 2)
    progress.end()
    assert stream.getvalue().split("\r")[-1].strip() == ""
    assert len(stream.getvalue().split("epoch 2/4  loss 0.5000")) == 2


def test_quiet_shows_no_bar_on_a_terminal_either():
    stream = Terminal()
    progress = Progress(quiet=True, stream=stream)
    progress.begin("epoch 1/1", 10)
    progress.advance(10)
    progress.end()
    assert stream.getvalue() == ""


def test_a_process_without_stderr_has_progress_that_goes_nowhere(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    progress = Progress()
    with progress.stream:
        progress.begin("epoch 1/1", 1)
        progress.warn("nobody hears this")
        progress.end()


@pytest.fixture
def notebook(monkeypatch):
    """A kernel without ipywidgets."""
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)


def test_a_notebook_has_a_bar_and_lines_on_stdout(notebook, capsys):
    progress = usual_progress()
    assert not isinstance(progress, LoggedProgress)
    progress.begin("epoch 1/2", 10)
    progress.bar.mininterval = 0
    progress.advance(4, loss="0.512", test_accuracy="0.9", nfe="26.0", run_left="01:23")
    progress.end()
    progress.say("epoch 1/2  loss 0.5")
    shown = capsys.readouterr()
    assert "4/10" in shown.out
    for text in ("loss=0.512", "test_accuracy=0.9", "nfe=26.0", "run_left=01:23"):
        assert text in shown.out
    assert shown.out.endswith("epoch 1/2  loss 0.5\n")
    assert shown.err == ""


def test_a_script_that_uses_the_library_is_logged(caplog):
    progress = usual_progress()
    assert isinstance(progress, LoggedProgress)
    with caplog.at_level("INFO"):
        progress.say("epoch 1/2")
    assert caplog.messages == ["epoch 1/2"]


def test_the_bar_shows_loss_monitor_evaluations_and_the_time_left():
    counts = [np.int32([n]) for n in (52, 4, 0)]
    totals = Totals(np.float32(5.0), 10, 2, 2, *counts, 0, 0, -1)
    history = [{"test_rmse": 0.25, "eval_seconds": 2.0}]
    seconds = seconds_left(15, 10, 0.5, history)
    assert seconds == 15 * 0.5 + 2 * 2.0
    assert bar_values(Regression(), totals, history, seconds) == {
        "loss": "0.500",
        "test_rmse": "0.25",
        "nfe": "26.0",
        "run_left": "00:11",
    }
    assert bar_values(Regression(), totals, [], None) == {"loss": "0.500", "nfe": "26.0"}
