"""The command `jaxode` and its subcommands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jaxode import __version__
from jaxode.cli import main as command
from jaxode.cli import process
from jaxode.config import PRESETS


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    """The tests' process keeps its own signal handlers and exit functions."""
    monkeypatch.setattr(process, "prepare", lambda: None)


def run(capsys, *words):
    code = command.main(list(words))
    return code, *capsys.readouterr()


def test_help_names_every_command(capsys):
    for words in ((), ("--help",), ("help",)):
        code, out, err = run(capsys, *words)
        assert (code, err) == (0, "")
        assert all(f"  {name} {found.arguments}" in out for name, found in command.COMMANDS.items())


def test_the_version(capsys):
    assert run(capsys, "--version") == (0, f"jaxode {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trian"], "jaxode: error: command must be one of train"),
        (["trian"], "did you mean train?"),
        (["train", "mnits"], "jaxode train: error: DATASET must be one of asl_alphabet"),
        (["train", "mnist", "--epoch", "1"], "jaxode train mnist: error: unknown flag --epoch"),
        (["train", "mnist", "--lr", "x"], "jaxode train mnist: error: --lr must be"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, line):
    code, out, err = run(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err


def test_train_lists_the_data_sets_and_their_flags(capsys):
    code, out, _ = run(capsys, "train", "--help")
    assert code == 0
    assert all(f"  {name} " in out for name in PRESETS)
    code, out, _ = run(capsys, "train", "cifar10", "--help")
    assert code == 0
    assert PRESETS["cifar10"].summary in out
    assert "jaxode train cifar10 --resume" in out


def test_train_is_the_experiment(capsys, tmp_path):
    """The same settings, digests and metrics as `python -m experiments.mnist`."""
    from experiments import mnist
    from jaxode.runs import read_config
    from jaxode.strict_json import read_object

    flags = [
        "--data",
        "sample",
        "--model",
        "mlp",
        "--limit-train",
        "40",
        "--limit-test",
        "10",
        "--epochs",
        "1",
        "--quiet",
    ]
    assert run(capsys, "train", "mnist", *flags, "--out", str(tmp_path / "a"))[0] == 0
    assert mnist.main([*flags, "--out", str(tmp_path / "b")]) == 0
    assert read_config(tmp_path / "a") == read_config(tmp_path / "b")
    first, second = (read_object(tmp_path / name / "result.json") for name in "ab")
    assert first["test_loss"] == second["test_loss"]


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "jaxode", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"jaxode {__version__}\n", "")
