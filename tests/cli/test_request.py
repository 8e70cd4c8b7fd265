"""The command line without anything behind it: what is given, what is missing, what is misspelt."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from parsers import check

from experiments.augmentations import AugmentationsConfig
from experiments.dynamics import command
from experiments.dynamics.crossing_config import CrossingConfig
from experiments.primer import PrimerConfig
from jaxode.checks import ConfigError
from jaxode.cli.request import build_parser, parse, read_preset, without_effect
from jaxode.cli.train import fail
from jaxode.config import RunConfig, preset
from jaxode.data import SPECS

NAMES = ("mnist", "qmnist", "fashion_mnist", "cifar10", "cifar100")
EPOCHS = {"mnist": 30, "qmnist": 60, "fashion_mnist": 50, "cifar10": 100, "cifar100": 100}


def experiment(name):
    return importlib.import_module(f"experiments.{name}")


def refused(capsys, *argv, name="mnist"):
    """The one line on stderr with which a request is refused."""
    assert experiment(name).main(argv) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert captured.out == ""
    assert line.isprintable()
    assert len(line) < 700
    assert line.startswith(f"python -m experiments.{name}: error: ")
    return line


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_the_protocol_of_its_set(name):
    preset = experiment(name).PRESET
    assert preset.data.dataset == name
    assert preset.epochs == EPOCHS[name]
    assert (preset.batch_size, preset.model.model, preset.model.blocks, preset.model.width) == (
        128,
        "odenet",
        1,
        64,
    )
    assert (preset.solve.solver, preset.solve.rtol, preset.solve.atol, preset.solve.step_size) == (
        "dopri5", 1e-3, 1e-3, None,
    )  # fmt: skip
    optim = preset.optim
    assert (optim.optimizer, optim.lr, optim.momentum, optim.weight_decay, optim.schedule) == (
        "sgd", 0.1, 0.9, 0.0, "step",
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_help_explains_every_setting(name, capsys):
    assert experiment(name).main(["--help"]) == 0
    text = capsys.readouterr().out
    flat = " ".join(text.split())
    unused = SPECS[name].unused_settings
    for setting in set(experiment(name).PRESET.flat()) - {"dataset", "extended_from", *unused}:
        assert f"--{setting.replace('_', '-')} " in text
    for word in (
        "Source:",
        "Expected:",
        "Time:",
        f"(default: {EPOCHS[name]})",
        "(default: 0.001)",
        "examples:",
        "--resume",
    ):
        assert word in flat
    assert experiment(name).__doc__.splitlines()[0] in text


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--solver", "foo"], "--solver must be one of euler, midpoint"),
        (
            ["--model", "vgg"],
            "--model must be one of odenet, resnet, mlp, dense, cnn, odecnn, got 'vgg'",
        ),
        (["--rtol", "-1"], "--rtol must be a number from 1e-16 to 1000, got -1.0"),
        (["--rtol", "-1e-3"], "--rtol must be a number from 1e-16 to 1000, got -0.001"),
        (["--atol", "nan"], "--atol must be a number from 1e-16 to 1000, got 'nan'"),
        (["--atol", "-inf"], "--atol must be a number from 1e-16 to 1000, got '-inf'"),
        (["--batch-size", "0"], "--batch-size must be a whole number from 1 to 1048576, got 0"),
        (["--epochs", "two"], "--epochs must be a whole number from 1 to 1000000, got 'two'"),
        (["--epochs", "2.5"], "--epochs must be a whole number from 1 to 1000000, got '2.5'"),
        (["--lr", "high"], "--lr must be a number from 1e-37 to 1e+38, got 'high'"),
        (["--lr", "0"], "--lr must be a number from 1e-37 to 1e+38, got 0.0"),
        (["--lr"], "--lr: expected one argument"),
        (["--momentum", "1"], "--momentum must be a number from 0 to 0.999999, got 1.0"),
        (["--seed", "-1"], "--seed must be a whole number from 0 to 4294967295, got -1"),
        (["--width", "33"], "--width must be at most 32 or a multiple of 32"),
        (["--precision", "half"], "--precision must be one of float64, float32"),
        (["--gradient", "none"], "--gradient must be one of"),
        (
            ["--gradient", "tape", "--solver", "kvaerno3"],
            "--gradient tape needs an explicit solver, got kvaerno3",
        ),
        (["--tape-steps", "0"], "--tape-steps must be a whole number from 1 to 100000, got 0"),
        (["--schedule", "linear"], "--schedule must be one of"),
        (["--optimizer", "lion"], "--optimizer must be one of"),
        (["--data", "half"], "--data must be one of"),
        (
            ["--limit-train", "0"],
            "--limit-train must be a whole number from 1 to 1000000000, got 0",
        ),
        (["--solver", "rk4"], "has no error estimate: give step_size"),
        (["--step-size", "2e9"], "--step-size must be a number from 1e-05 to 1e+09, got 2"),
        (["--backward-rtol", "1e-5"], "need gradient backsolve"),
        (["--model", "mlp", "--blocks", "2"], "--blocks must be left out"),
        (
            ["--model", "resnet", "--augment-dims", "5"],
            "--augment-dims must be 0 for a model without ODE blocks, got 5",
        ),
        (["--blocks", "5000"], "--blocks must be a whole number from 0 to 128, got 5000"),
        (["--blocks", "33"], "--blocks must be at most 32 for the odenet, got 33"),
        (
            ["--width", "1" + "0" * 30],
            f"--width must be a whole number from 1 to 2048, got '1{'0' * 30}'",
        ),
        (
            ["--max-steps", str(2**31)],
            "--max-steps must be a whole number from 1 to 100000, got 2147483648",
        ),
        (
            ["--devices", str(2**31)],
            "--devices must be a whole number from 1 to 256, got 2147483648",
        ),
        (["--accumulate", "129"], "--accumulate must be at most the batch_size, 128, got 129"),
        (["--solver", "rk45"], "implicit_adams, got 'rk45': did you mean dopri5?"),
        (["--out", ""], "--out must be a path, which is not empty, got ''"),
        (["--out="], "--out must be a path, which is not empty, got ''"),
        (["--resume", ""], "--resume must be a path, which is not empty, got ''"),
        (["--data-dir", ""], "--data-dir must be a path, which is not empty, got ''"),
        (
            ["--out", "a" * 256],
            "--out must be a path of at most 4095 bytes, and 255 a name, got 'aaa",
        ),
        (
            ["--coordinator", "127.0.0.1:²"],
            "--coordinator must be HOST:PORT of process 0, with a port from 1 to 65535",
        ),
        (
            ["--coordinator", "host:65536"],
            "--coordinator must be HOST:PORT of process 0, with a port from 1 to 65535",
        ),
        (
            ["--coordinator", ""],
            "--coordinator must be HOST:PORT of process 0, with a port from 1 to 65535",
        ),
        (["--processes", "0"], "--processes must be a whole number from 1 to 4096, got 0"),
        (["--tolerance", "1e-3"], "unknown flag --tolerance: did you mean --rtol?"),
        (["--adjoint"], "unknown flag --adjoint: did you mean --gradient backsolve?"),
        (["--quiet=" + "x" * 10**5], "--quiet: ignored explicit argument 'xxx"),
        (["--\x1b[31m"], r"unknown flag --\x1b[31m: see --help"),
        (["@file"], "unknown argument @file: see --help"),
        (["x" * 10**6], "unknown argument xxx"),
        (["--sovler", "dopri5"], "unknown flag --sovler: did you mean --solver?"),
        (["--learning-rat", "1"], "unknown flag --learning-rat"),
        (["--epoch=3"], "unknown flag --epoch: did you mean --epochs?"),
        (["--dataset", "mnist"], "unknown flag --dataset"),
        (["dopri5"], "unknown argument dopri5"),
        (["--out", "a", "--resume", "b"], "--resume or --out, not both"),
    ],
    ids=lambda value: (
        " ".join(value)[:40].encode("ascii", "replace").decode() if isinstance(value, list) else ""
    ),
)
def test_a_mistake_is_answered_by_one_line(argv, text, capsys):
    assert text in refused(capsys, *argv)


@pytest.mark.parametrize("name", ["mnist", "iceberg"])
def test_every_flag_of_an_experiment_is_checked(name, capsys):
    check(build_parser(experiment(name).PRESET, "doc", "prog"), capsys)


@pytest.mark.parametrize("settings", [CrossingConfig, PrimerConfig, AugmentationsConfig])
def test_every_flag_of_a_small_experiment_is_checked(settings, capsys):
    check(command.build_parser("prog", "doc", settings, Path("runs")), capsys)


def test_what_an_error_says_is_printed_escaped(capsys):
    assert (
        fail(build_parser(RunConfig(), "doc", "prog"), OSError("a\x1b[31m\nb\udcff is no run"), 2)
        == 2
    )
    assert capsys.readouterr().err == "prog: error: a\\x1b[31m b\\udcff is no run\n"


def test_the_last_of_repeated_flags_counts():
    assert parse(
        build_parser(RunConfig(), "doc", "prog"), ["--lr", "1", "--lr", ".5"]
    ).settings == {"lr": 0.5}


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("+7", 7), ("007", 7)])
def test_a_whole_number_is_written_in_ascii_digits(text, number):
    assert parse(build_parser(RunConfig(), "doc", "prog"), ["--epochs", text]).settings == {
        "epochs": number
    }


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("1e-3", 1e-3), (".5E+1", 5), ("2.", 2), ("+0.25", 0.25)]
)
def test_a_number_is_written_as_usual(text, number):
    assert parse(build_parser(RunConfig(), "doc", "prog"), ["--rtol", text]).settings == {
        "rtol": number
    }


def test_only_what_is_given_is_a_setting():
    parser = build_parser(RunConfig(), "doc", "prog")
    request = parse(parser, ["--lr", "0.2", "--blocks", "2", "--quiet"])
    assert request.settings == {"lr": 0.2, "blocks": 2}
    assert (request.quiet, request.describe, request.out, request.resume) == (
        True,
        False,
        None,
        None,
    )


def test_a_yes_or_no_setting_is_a_flag_without_a_value(capsys):
    parser = build_parser(RunConfig(), "doc", "prog")
    assert parse(parser, ["--per-sample", "--lr", "0.2"]).settings == {
        "per_sample": True,
        "lr": 0.2,
    }
    assert "per_sample" not in parse(parser, []).settings
    assert "--per-sample" in refused(capsys, "--per-sample=yes")


def test_settings_without_effect_are_known():
    config = RunConfig().replaced(model="resnet", optimizer="adam")
    assert without_effect(config, {"rtol": 1, "lr": 1, "momentum": 0, "width": 32}) == [
        "--rtol",
        "--momentum",
    ]
    assert without_effect(
        RunConfig().replaced(blocks=0), {"per_sample": True, "blocks": 0, "width": 32}
    ) == ["--per-sample"]
    assert (
        without_effect(RunConfig(), {"rtol": 1, "momentum": 0, "width": 32, "tape_steps": 4}) == []
    )
    assert without_effect(RunConfig().replaced(gradient="replay"), {"tape_steps": 4}) == [
        "--tape-steps"
    ]
    assert without_effect(RunConfig(), {"milestones": "5"}) == ["--milestones"]
    angled = RunConfig().replaced(dataset="iceberg", model="dense", angle=True)
    assert without_effect(angled, {"angle": True}) == ["--angle"]
    assert without_effect(angled.replaced(model="cnn"), {"angle": True}) == []


def test_a_default_gradient_mode_follows_the_solver():
    implicit = RunConfig().replaced(solver="kvaerno3")
    modes = [
        config.solve.gradient
        for config in (RunConfig(), implicit, implicit.replaced(solver="tsit5"))
    ]
    assert modes == ["tape", "checkpointed", "tape"]
    assert (
        RunConfig().replaced(gradient="direct").replaced(solver="tsit5").solve.gradient == "direct"
    )


def test_help_and_mistakes_wait_for_no_slow_import(tmp_path):
    other = tmp_path / "config.json"
    other.write_text(json.dumps(preset("cifar10").to_json()))
    program = (
        "import sys\n"
        "from experiments import mnist\n"
        "assert mnist.main(['--rtol', '-1']) == 2\n"
        "assert mnist.main(['--config', sys.argv[1]]) == 2\n"
        "slow = {'jax', 'flax', 'diffrax', 'matplotlib', 'tensorflow_datasets', 'PIL', 'optax'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, other],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("dataset", "shown", "hidden"),
    [
        (
            "mnist",
            {"--crop", "--augment", "--pixels", "--protocol"},
            {"--angle", "--test-share", "--split-seed"},
        ),
        (
            "iceberg",
            {"--angle", "--test-share", "--split-seed"},
            {"--crop", "--augment", "--pixels"},
        ),
    ],
)
def test_help_shows_what_means_something_for_the_data_set(dataset, shown, hidden):
    parser = build_parser(preset(dataset), "", "prog")
    text = parser.format_help()
    flags = set(re.findall(r"--[a-z-]+", text))
    assert shown <= flags
    assert not hidden & flags
    for flag in hidden - {"--angle"}:
        value = {"--test-share": "0.5", "--split-seed": "1"}.get(flag, "none")
        assert parse(parser, [flag, value]).settings  # understood; a note says that it is unused


def test_a_config_file_of_another_run_is_the_preset(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(RunConfig().replaced(lr=0.5, width=8).to_json()))
    config = read_preset(path, preset("mnist"))
    assert (config.optim.lr, config.model.width) == (0.5, 8)
    with pytest.raises(ConfigError, match="--config must be of a run on cifar10"):
        read_preset(path, preset("cifar10"))
    path.write_text("{")
    with pytest.raises(ConfigError, match="--config "):
        read_preset(path, preset("mnist"))
