"""Weights of PyTorch to runs and back: the same logits, the same bits, and nothing run that a file
may hold.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import shlex

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import mnist

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from jaxode.runs.directory_lock import lock_run_directory  # noqa: E402
from scripts import convert  # noqa: E402
from scripts.restore import restored  # noqa: E402
from torch_ref.model import build  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402

LOGITS = 1e-11
"""Largest relative difference in float64: rounding."""

DATA = shlex.split("--data sample --limit-train 20 --limit-test 10 --batch-size 10")
RK4 = shlex.split("--solver rk4 --step-size 0.5")


def saved(
    path,
    kind="mlp",
    blocks=0,
    dtype=torch.float32,
    channels=1,
    augment=0,
    convolutions=3,
    **changes,
):
    """A model of torch_ref, saved as odenet_mnist.py saves it."""
    torch.manual_seed(0)
    options = {
        "width": 4,
        "augment": augment,
        "convolutions": convolutions,
        "settings": Settings("rk4", step_size=0.5),
    }
    model = build(kind, blocks, channels=channels, classes=10, **options)
    model.to(dtype)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    weights = {**model.state_dict(), **changes}
    weights = {name: value for name, value in weights.items() if value is not None}
    torch.save(
        {"state_dict": weights, "args": argparse.Namespace(network=kind, tol=1e-3, adjoint=False)},
        path,
    )
    return model


def ran(*argv):
    assert convert.main([str(word) for word in argv]) == 0


def refused(capsys, *argv):
    assert convert.main([str(word) for word in argv]) == 2
    captured = capsys.readouterr()
    (line,) = (line for line in captured.err.splitlines() if "SAMPLE" not in line)
    assert captured.out == ""
    assert line.startswith("python -m scripts.convert: error: ")
    return line


def same(first, second):
    assert first.keys() == second.keys()
    assert all(
        first[name].dtype == second[name].dtype and torch.equal(first[name], second[name])
        for name in first
    )


@pytest.mark.parametrize(
    ("kind", "blocks", "augment", "convolutions"),
    [("odenet", 2, 3, 4), ("resnet", 1, 0, 3), ("resnet", 0, 0, 5), ("mlp", 0, 0, 3)],
)
def test_a_run_from_weights_has_their_logits_and_gives_them_back(
    kind, blocks, augment, convolutions, tmp_path, capsys
):
    model = saved(
        tmp_path / "model.pth",
        kind,
        blocks,
        torch.float64,
        augment=augment,
        convolutions=convolutions,
    )
    run = tmp_path / "run"
    ran(tmp_path / "model.pth", run, *DATA, *(RK4 if kind == "odenet" else ()))
    assert capsys.readouterr().out == f"go on with: python -m experiments.mnist --resume {run}\n"
    assert json.loads((run / "origin.json").read_text())["file"] == "model.pth"
    images = np.random.default_rng(0).normal(size=(3, 28, 28, 1))
    with jax.enable_x64(True):
        ours = restored(run).model
        logits = np.asarray(jax.jit(lambda x: ours(x)[0])(jnp.asarray(images)))
    expected = model(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().numpy()
    assert np.linalg.norm(logits - expected) < LOGITS * np.linalg.norm(expected)
    ran(run, tmp_path / "back.pt")
    same(torch.load(tmp_path / "back.pt"), model.state_dict())


def test_a_resumed_run_trains_the_given_weights(tmp_path):
    model, run = saved(tmp_path / "model.pth"), tmp_path / "run"
    ran(tmp_path / "model.pth", run, *DATA, "--lr", "1e-30", "--epochs", "1")
    assert mnist.main(["--resume", str(run), "--quiet"]) == 0
    newest = max((run / "checkpoints").glob("epoch-*"))
    assert newest.name == "epoch-00001-step-0000000002"
    ran(newest, tmp_path / "back.pt")
    same(torch.load(tmp_path / "back.pt"), model.state_dict())  # such steps change no bit


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_files_go_round_unchanged(dtype, tmp_path):
    model = saved(tmp_path / "a.pth", "odenet", 1, dtype)
    names = ["a.pth", "b.safetensors", "c.npz", "d.pt"]
    for source, target in itertools.pairwise(names):
        ran(tmp_path / source, tmp_path / target)
    same(torch.load(tmp_path / "d.pt"), model.state_dict())


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.mark.parametrize("place", ["state_dict", "args"])
def test_a_pickle_with_a_program_is_refused_and_not_run(place, tmp_path, capsys):
    content = {"state_dict": {}, "args": argparse.Namespace()} | {place: Trap(tmp_path / "sprung")}
    torch.save(content, tmp_path / "model.pth")
    line = refused(capsys, tmp_path / "model.pth", tmp_path / "out.npz")
    assert "refused, for it is not a file of weights alone" in line
    assert not (tmp_path / "sprung").exists()
    torch.load(tmp_path / "model.pth", weights_only=False)
    assert (tmp_path / "sprung").exists()  # the trap works


def test_a_state_narrower_than_the_map_is_named(tmp_path, capsys):
    saved(tmp_path / "model.pth", "odenet", 1, **{"7.odefunc.norm1.weight": torch.zeros(2)})
    line = refused(capsys, tmp_path / "model.pth", tmp_path / "run", *DATA)
    assert line.endswith("7.odefunc.norm1.weight has shape (2,), not (4,)")


def test_the_files_augmentation_is_the_runs(tmp_path, capsys):
    saved(tmp_path / "model.pth", "odenet", 1, augment=3)
    line = refused(capsys, tmp_path / "model.pth", tmp_path / "run", *DATA, "--augment-dims", "0")
    assert line.endswith("--augment-dims must be left out or 3, as it is in the file, got 0")


def test_what_does_not_fit_is_named_and_leaves_nothing(tmp_path, capsys):
    changes = {"7.conv1.weight": torch.zeros(4, 4, 1, 1), "8.bias": None, "13.bias": torch.zeros(2)}
    saved(tmp_path / "model.pth", "resnet", 1, **changes)
    line = refused(capsys, tmp_path / "model.pth", tmp_path / "run", *DATA)
    for text in (
        "7.conv1.weight has shape (4, 4, 1, 1), not (4, 4, 3, 3)",
        "missing 8.bias",
        "unexpected 13.bias",
    ):
        assert text in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["none.pt", "out.npz"], "none.pt"),
        (["model.txt", "out.npz"], "SOURCE must be a run's directory or end in"),
        (["model.pth", "model.pth"], "TARGET must not exist yet"),
        (["model.pth", "out.npz", "--lr", "1"], "--lr is a setting of a run"),
        (["model.pth", "run", "--model", "resnet"], "--model must be left out or mlp"),
        (
            ["model.pth", "run", "--dataset", "cifar10"],
            "--dataset must be one of 1 channels and 10 classes",
        ),
        (["model.pth", "run", "--rtol", "-1"], "--rtol must be a number from 1e-16 to 1000"),
        (["text.pt", "out.npz"], "text.pt"),
        (["text.npz", "out.pt"], "text.npz is no .npz file"),
        (["text.safetensors", "out.pt"], "text.safetensors is no .safetensors file"),
        (["list.pt", "out.npz"], "list.pt must hold a state_dict, got list"),
        (["whole.pt", "run"], "neither an odenet, nor a resnet, nor an mlp"),
        ([".", "out.npz"], ". is no run"),
        (["begun", "out.npz"], "begun has no checkpoint yet"),
        (["begun", "run"], "TARGET must end in one of"),
    ],
)
def test_wrong_requests_end_in_one_line(argv, text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "model.pth")
    torch.save([1], "list.pt")
    torch.save({"weight": torch.zeros(1)}, "whole.pt")
    for ending in (".pt", ".npz", ".safetensors"):
        (tmp_path / f"text{ending}").write_text("no weights")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_text(
        json.dumps(mnist.PRESET.replaced(model="mlp").to_json())
    )
    assert text in refused(capsys, *argv)
    assert not (tmp_path / "run").exists()


def test_a_run_that_finds_no_room_leaves_nothing(tmp_path, capsys, monkeypatch):
    saved(tmp_path / "model.pth")
    run, argv = tmp_path / "run", (tmp_path / "model.pth", tmp_path / "run", *DATA)

    def full(path, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jaxode.runs.checkpoint_storage.reserve", full)
    assert "cannot write a checkpoint" in refused(capsys, *argv)
    assert not run.exists()
    monkeypatch.undo()
    with lock_run_directory(run):
        assert "another process is training into" in refused(capsys, *argv)
    ran(*argv)


def test_a_damaged_checkpoint_is_refused(tmp_path, capsys):
    saved(tmp_path / "model.pth")
    ran(tmp_path / "model.pth", tmp_path / "run", *DATA)
    capsys.readouterr()
    (only,) = (tmp_path / "run" / "checkpoints").iterdir()
    (only / "meta.json").write_text("{}")
    assert "damaged: its meta.json: content is missing" in refused(
        capsys, only, tmp_path / "out.pt"
    )
