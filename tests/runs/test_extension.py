"""More epochs for a run whose learning rates depend on their number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import digests, go, lines
from stubs import run_config, without_pictures

from jaxode.checks import ConfigError
from jaxode.config import Extension, RunConfig
from jaxode.errors import ResumeError
from jaxode.runs import RunDirectory, merge_resume_request, read_config
from jaxode.runs.comparison import compare_runs
from jaxode.runs.extension import extension_text, with_epochs
from jaxode.runs.progress import Progress
from scripts.tables.protocols import identity

STEP = run_config().replaced(schedule="step", epochs=2)


class Said(Progress):
    def __init__(self):
        super().__init__(quiet=True)
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A run of two epochs that was given two more, and what it said."""
    out, said = tmp_path_factory.mktemp("runs") / "run", Said()
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        go(out, STEP)
        longer = merge_resume_request(out, read_config(out), {"epochs": 4})
        go(out, longer, progress=said)
    return out, said


def test_the_line_says_which_rates_follow(extended):
    _, said = extended
    (line,) = said.warnings
    # Of 4 epochs of 5 steps a tenth from steps 6, 12 and 18 on.
    assert line.startswith(
        "extended from 2 to 4 epochs after epoch 2: the step schedule is now that of 4 epochs; the"
        " learning rate was 0.0001, and is 0.01 from epoch 3, 0.001 from epoch 3, 0.0001 from"
        " epoch 4"
    )


def test_settings_and_result_record_it(extended):
    out, _ = extended
    recorded = [{"epochs": 2, "after": 2}]
    assert json.loads((out / "config.json").read_text())["extended_from"] == recorded
    result = json.loads((out / "result.json").read_text())
    assert (result["extended_from"], result["epochs_planned"]) == (recorded, 4)
    config = read_config(out)
    assert config.extended_from == (Extension(2, after=2),)
    assert RunConfig.from_json(config.to_json()) == config
    assert RunDirectory(out).config == config


def test_the_rates_of_the_new_epochs_are_those_of_their_number(extended):
    assert [line["lr"] for line in lines(extended[0])] == [0.01, 0.0001, 0.001, 0.0001]


def test_it_passes_for_no_protocol(extended, tmp_path):
    """Neither for that of as many epochs nor for that of as many as before."""
    config = read_config(extended[0])
    planned = {identity(STEP.replaced(epochs=epochs)) for epochs in (2, 4)}
    assert identity(config) not in planned
    go(tmp_path / "four", STEP.replaced(epochs=4))
    groups = compare_runs([extended[0], tmp_path / "four"]).groups
    assert len(groups) == 2
    assert "extended_from" in groups[0].label


def test_it_goes_on_after_a_kill_before_its_first_new_epoch(extended, tmp_path):
    """The settings are of four epochs then, and the checkpoint of two."""
    out, longer = tmp_path / "run", read_config(extended[0])
    go(out, STEP)
    (out / "config.json").write_text((extended[0] / "config.json").read_text())
    assert merge_resume_request(out, read_config(out), {}) == longer
    go(out, longer)
    assert max(digests(out).items()) == max(digests(extended[0]).items())


def test_without_a_record_more_epochs_are_refused(extended, tmp_path):
    out = tmp_path / "run"
    go(out, STEP)
    with pytest.raises(ResumeError, match=r"epochs .run has 2, requested 4"):
        go(out, STEP.replaced(epochs=4))


def test_what_is_extended_how():
    here, cosine = Path("run"), run_config().replaced(schedule="cosine", epochs=30)
    twice = with_epochs(here, with_epochs(here, cosine, 40, 30), 50, 40)
    assert twice.extended_from == (Extension(30, 30), Extension(40, 40))
    assert with_epochs(here, cosine, 40, 0).extended_from == ()  # no epoch is done
    constant = with_epochs(here, cosine.replaced(schedule="constant"), 40, 30)
    assert (constant.epochs, constant.extended_from) == (40, ())
    with pytest.raises(ResumeError, match="run has 30, requested 20; the cosine schedule allows"):
        with_epochs(here, cosine, 20, 10)
    history, rates = [{"lr": 0.0}] * 30, [(0.5 - 0.01 * n, 0.495 - 0.01 * n) for n in range(40)]
    text = extension_text(with_epochs(here, cosine, 40, 30), history, lambda: rates)
    assert "was 0, and is 0.2 in epoch 31, falling to 0.105 in epoch 40. config.json" in text
    assert extension_text(cosine, history, lambda: rates) is None


@pytest.mark.parametrize(
    "wrong",
    ["x", [3], [{"epochs": 2}], [{"epochs": 9, "after": 1}], [{"epochs": 2, "after": 3}]],
)
def test_extensions_are_checked(wrong):
    with pytest.raises(ConfigError, match="extended_from must be a list of objects"):
        RunConfig(epochs=5, extended_from=wrong)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    without_pictures(monkeypatch)
