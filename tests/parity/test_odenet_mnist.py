"""The protocol of odenet_mnist.py on both sides: the losses that the two programs print."""

from __future__ import annotations

import argparse
import re
import shlex

import jax
import numpy as np
import pytest
from stubs import without_pictures

from experiments import mnist

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from jaxode.checks import ConfigError  # noqa: E402
from jaxode.config import OptimConfig, preset, protocol  # noqa: E402
from jaxode.optim import learning_rate  # noqa: E402
from scripts import export_for_torch  # noqa: E402
from scripts import odenet_mnist as comparison  # noqa: E402
from torch_ref import odenet_mnist, weights  # noqa: E402
from torch_ref.model import build  # noqa: E402

STEPS = 3
RUN = shlex.split(
    "--protocol odenet_mnist --data sample --limit-train 28 --limit-test 8 --batch-size 8"
    " --eval-batch-size 8 --width 8 --precision float64 --epochs 1"
)
"""Three steps; the last four images fill no batch."""


def losses_of(text: str) -> list[float]:
    return [float(match[1]) for match in re.finditer(r"^step \d+: loss (\S+)$", text, re.MULTILINE)]


@pytest.mark.parametrize(
    ("kind", "downsampling"),
    [
        pytest.param("resnet --blocks 2", "res", marks=pytest.mark.slow),
        ("odenet", "res"),
    ],
)
def test_both_programs_print_the_same_losses(kind, downsampling, tmp_path, capsys, monkeypatch):
    without_pictures(monkeypatch)
    run = [*RUN, *shlex.split(f"--downsampling-method {downsampling} --model {kind}")]
    try:
        assert mnist.main([*run, "--losses", str(STEPS), "--out", str(tmp_path / "run")]) == 0
    finally:
        jax.config.update("jax_enable_x64", False)
    ours = losses_of(capsys.readouterr().out)
    handed = tmp_path / "handed"
    assert export_for_torch.main([*run, "--batches", str(STEPS), "--out", str(handed)]) == 0
    capsys.readouterr()
    files = ["--weights", str(handed / "weights.pt"), "--batches", str(handed / "batches.npz")]
    saved = tmp_path / "model.pth"
    assert odenet_mnist.main([*files, "--float64", "--save", str(saved)]) == 0
    theirs = losses_of(capsys.readouterr().out)
    assert len(ours) == len(theirs) == STEPS
    np.testing.assert_allclose(ours, theirs, rtol=comparison.LIMIT)
    assert len(set(theirs)) == STEPS
    assert weights.layout(weights.read(saved)).downsampling == downsampling
    with torch.serialization.safe_globals([argparse.Namespace]):
        args = torch.load(saved)["args"]
    assert (args.network, args.downsampling_method) == (kind.split()[0], downsampling)


@pytest.mark.parametrize("batch_size", [128, 100])
def test_the_rates_are_those_of_jaxode(batch_size, x64):
    config = protocol("odenet_mnist", preset("mnist")).replaced(batch_size=batch_size)
    ours = learning_rate(config.scaled_optim, 160 * 468, 468)
    theirs = odenet_mnist.rate_of(0.1, batch_size, 468)
    edges = [epoch * 468 + after for epoch in (60, 100, 140) for after in (-1, 0, 1)]
    for step in (0, *edges, 160 * 468 - 1):
        assert float(ours(step)) == theirs(step)


def test_another_schedule_has_other_rates(x64):
    config = OptimConfig(schedule="milestones", milestones="60,100")
    assert float(learning_rate(config, 160, 1)(140)) != odenet_mnist.rate_of(0.1, 128, 1)(140)


@pytest.fixture
def files(tmp_path):
    """Weights of a small ResNet and two batches, as flags."""
    torch.manual_seed(0)
    model = build("resnet", 1, channels=1, classes=3, width=4, side=12)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(2, 4, 12, 12, 1)), rng.integers(0, 3, (2, 4))
    np.savez(tmp_path / "batches.npz", images=images, labels=labels)
    return ["--weights", str(tmp_path / "weights.pt"), "--batches", str(tmp_path / "batches.npz")]


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["--tol", "0"], 2, "--tol: must be a number from 1e-16 to 1000, got '0'"),
        (["--weights", "none.pt"], 2, "none.pt"),
        (["--tol=--"], 2, "--tol: expected one argument"),
        (["--save", "no/where/m.pth"], 2, "No such file or directory"),
        (["--lr", "1e38"], 1, "step 2: the loss is not finite"),
    ],
)
def test_the_reference_ends_in_one_line(files, argv, code, text, capsys):
    assert odenet_mnist.main([*files, *argv]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m torch_ref.odenet_mnist: error: ")
    assert text in line


def test_the_reference_prints_as_many_steps_as_asked_for(files, capsys):
    assert odenet_mnist.main([*files, "--steps", "1"]) == 0
    assert len(losses_of(capsys.readouterr().out)) == 1


@pytest.mark.parametrize(
    ("last", "same", "text"),
    [
        ((2.0, 2.0 + 1e-12, 2.0), True, "5.0e-13, of torchdiffeq and itself"),
        ((2.0, 2.0 + 1e-11, 2.0 + 2e-11), True, "5.0e-12: equal up to step 1, from there by as"),
        ((2.0, 2.0 + 1e-11, 2.0 + 1.02e-11), False, "1.0e-13: not equal, from step 2"),
    ],
)
def test_equal_losses_rounding_and_others_are_told_apart(last, same, text):
    steps = [comparison.Losses(1.0, 1.0, 1.0), comparison.Losses(*last)]
    assert comparison.verdict(steps)[0] is same
    assert text in comparison.table(steps).splitlines()[-1]


def test_rounding_of_later_steps_excuses_no_earlier_one():
    first = comparison.Losses(1.0, 1.0 + 1e-11, 1.0 + 1e-11)
    steps = [first, comparison.Losses(1.0, 1.0, 2.0)]
    assert not comparison.verdict(steps)[0]


def test_weights_rounded_anew_are_neighbours():
    model = build("resnet", 1, channels=1, classes=3, width=4, side=12).double()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    odenet_mnist.round_anew(model, torch.Generator().manual_seed(0))
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.all(new != old)
        assert torch.all(torch.nextafter(new, old) == old)
    assert any(torch.any(new > old) for old, new in zip(before, model.parameters(), strict=True))
    assert any(torch.any(new < old) for old, new in zip(before, model.parameters(), strict=True))


def test_the_reference_starts_from_weights_rounded_anew(files, capsys):
    found = []
    for flags in ([], ["--round-anew", "0"]):
        assert odenet_mnist.main([*files, *flags]) == 0
        found.append(losses_of(capsys.readouterr().out))
    assert found[0] != found[1]
    np.testing.assert_allclose(*found, rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"solver": "bosh3"}, "--solver must be left out"),
        ({"rtol": 1e-4}, "--atol must be --rtol"),
        ({"dataset": "cifar10"}, "--dataset must be left out"),
        ({"width": 33}, "--width must be at most 32 or a multiple"),
    ],
)
def test_what_the_script_does_not_have_is_not_compared(values, text):
    with pytest.raises(ConfigError, match=text):
        comparison.checked(values)


def test_a_program_that_fails_is_named_with_its_reason(tmp_path):
    words = ["torch_ref.odenet_mnist", "--weights", "no.pt", "--batches", "no.npz"]
    with pytest.raises(ConfigError, match=r"torch_ref.odenet_mnist ended with code 2: .*no\.pt"):
        comparison.losses(words, 1, tmp_path)
