"""`jaxode convert`: weights of PyTorch to files and runs and back, the same bits and logits."""

from __future__ import annotations

import argparse
import json
import shlex

import jax
import numpy as np
import pytest

import jaxode
from jaxode.cli import main as command
from jaxode.cli import process

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch_ref.model import build  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402

LOGITS = 1e-11
"""Largest relative difference in float64: rounding."""

DATA = shlex.split("--dataset mnist --data sample --limit-train 20 --limit-test 10 --batch-size 10")
RK4 = shlex.split("--solver rk4 --step-size 0.5")


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    """The tests' process keeps its own signal handlers and exit functions."""
    monkeypatch.setattr(process, "prepare", lambda: None)


def saved(path, kind="mlp", blocks=0, dtype=torch.float32, augment=0, convolutions=3, **changes):
    """A small model of torch_ref, saved as a state_dict with some tensors changed."""
    torch.manual_seed(0)
    options = {"width": 4, "augment": augment, "convolutions": convolutions}
    solve = Settings("rk4", step_size=0.5)
    model = build(kind, blocks, channels=1, classes=10, settings=solve, **options).to(dtype)
    weights = {**model.state_dict(), **changes}
    torch.save({name: value for name, value in weights.items() if value is not None}, path)
    return model


def ran(capsys, *words):
    code = command.main(["convert", *map(str, words)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured


def refused(capsys, *words):
    assert command.main(["convert", *map(str, words)]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "SAMPLE" not in line]
    (line,) = (line for line in lines if not line.startswith("note: "))
    assert captured.out == ""
    assert line.startswith("jaxode convert: error: ")
    return line


def same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype
        assert torch.equal(value, second[name])


def logits_of(model, images):
    """Of a model that is shown pixels normalised as jaxode trains on MNIST."""
    kind = next(model.parameters()).dtype
    shown = (torch.from_numpy(images).permute(0, 3, 1, 2).to(kind) / 255 - 0.1307) / 0.3081
    return model(shown).detach().numpy()


@pytest.mark.parametrize(
    ("kind", "blocks", "augment", "convolutions"),
    [("odenet", 1, 3, 4), ("resnet", 0, 0, 3), ("mlp", 0, 0, 3)],
)
def test_a_file_has_the_logits_and_gives_the_weights_back(
    kind, blocks, augment, convolutions, tmp_path, capsys
):
    model = saved(tmp_path / "a.pth", kind, blocks, torch.float64, augment, convolutions)
    flags = ["--dataset", "mnist", *(RK4 if kind == "odenet" else ())]
    told = ran(capsys, tmp_path / "a.pth", tmp_path / "b.safetensors", *flags).err
    assert "does not say how its images were shown: taken as jaxode trains on mnist" in told
    loaded = jaxode.load(tmp_path / "b.safetensors")
    images = jaxode.load_dataset("mnist", data="sample").test_images[:3]
    logits, expected = loaded.predict_images(images, 3)[0], logits_of(model, images)
    assert logits.dtype == np.float64
    assert np.linalg.norm(logits - expected) < LOGITS * np.linalg.norm(expected)
    ran(capsys, tmp_path / "b.safetensors", tmp_path / "c.npz")
    ran(capsys, tmp_path / "c.npz", tmp_path / "d.pt")
    same(torch.load(tmp_path / "d.pt"), model.state_dict())
    assert jaxode.load(tmp_path / "d.pt").config == loaded.config


def test_a_plain_state_dict_of_any_model_goes_round_unchanged(tmp_path, capsys):
    weights = {"any.weight": torch.ones(2, 3).bfloat16(), "bias": torch.zeros(0)}
    torch.save({"state_dict": weights, "epoch": 1}, tmp_path / "a.ckpt")
    told = ran(capsys, tmp_path / "a.ckpt", tmp_path / "b.safetensors", "--layout", "torch")
    assert told.err == (
        f"note: {tmp_path}/a.ckpt: weights are those under state_dict; left out: epoch\n"
    )
    assert told.out == f"wrote {tmp_path}/b.safetensors: 2 arrays, 6 numbers\n"
    ran(capsys, tmp_path / "b.safetensors", tmp_path / "c.pt")
    same(torch.load(tmp_path / "c.pt"), weights)


def test_a_run_starts_from_the_weights_and_trains_them(tmp_path, capsys):
    model, run = saved(tmp_path / "model.pth"), tmp_path / "run"
    flags = [*DATA, "--lr", "1e-30", "--epochs", "1"]
    out = ran(capsys, tmp_path / "model.pth", run, *flags).out
    assert out == f"go on with: jaxode train mnist --resume {run}\n"
    assert json.loads((run / "origin.json").read_text())["file"] == "model.pth"
    ran(capsys, run, tmp_path / "before.pt")
    same(torch.load(tmp_path / "before.pt"), model.state_dict())
    assert command.main(["train", "mnist", "--resume", str(run), "--quiet"]) == 0
    capsys.readouterr()
    (newest,) = (run / "checkpoints").glob("epoch-00001-*")
    ran(capsys, newest, tmp_path / "after.pt")
    same(torch.load(tmp_path / "after.pt"), model.state_dict())  # such steps change no bit


def test_a_run_shows_its_images_as_odenet_mnist_did(tmp_path, capsys):
    model = build("resnet", 1, channels=1, classes=10)
    flags = argparse.Namespace(network="resnet", tol=1e-3, nepochs=160)
    torch.save({"state_dict": model.state_dict(), "args": flags}, tmp_path / "model.pth")
    ran(capsys, tmp_path / "model.pth", tmp_path / "run", *DATA[2:])
    config = jaxode.load(tmp_path / "run").config
    assert (config.data.pixels, config.epochs, config.batch_size) == ("unit", 160, 10)
    assert json.loads((tmp_path / "run" / "origin.json").read_text())["args"]["tol"] == 1e-3


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["none.pt", "out.npz"], "none.pt cannot be read: No such file"),
        (["model.txt", "out.npz"], "a weight file must end in one of"),
        (["model.pth", "model.pth"], "TARGET must not exist yet"),
        (["model.pth", "out.pt", "--lr", "1"], "--lr is a setting of a model"),
        (["model.pth", "out.pt", "--layout", "jaxode"], "--layout must be torch for .pt"),
        (["model.pth", "out.npz"], "--dataset NAME (fashion_mnist, mnist or qmnist, say)"),
        (["model.pth", "out.onnx"], "jaxode export writes it"),
        (
            ["model.pth", "run", "--dataset", "mnist", "--model", "resnet"],
            "--model must be left out or mlp, as it is in the file, got resnet",
        ),
        (
            ["model.pth", "out.npz", "--dataset", "cifar100"],
            "--dataset must be one of 1 channels and 10 classes",
        ),
        (["model.pth", "run", "--rtol", "-1"], "--rtol must be a number from 1e-16 to 1000"),
        (["model.pth", "run", "--layuot", "torch"], "did you mean --layout?"),
        (["text.pt", "out.npz"], "text.pt is no .pt file"),
        (["text.npz", "out.pt"], "text.npz is no .npz file"),
        (["text.safetensors", "out.pt"], "text.safetensors is no .safetensors file"),
        (["other.pt", "run", *DATA], "neither an odenet, nor a resnet, nor an mlp"),
        (["nan.pt", "out.npz"], "must hold finite numbers: 'w' has 2 NaN of 3 numbers"),
        (
            ["narrow.pth", "run", *DATA, *RK4],
            "7.odefunc.norm1.weight has shape (2,), not (4,)",
        ),
        (["wide.pth", "run", *DATA, "--augment-dims", "0"], "--augment-dims must be left out or 3"),
        ([".", "out.npz"], ". is no run"),
        ([".", "run"], "TARGET must end in one of"),
        ([".", "out.npz", "--rtol", "1"], "--rtol must be left out: . has settings of its own"),
    ],
)
def test_a_mistake_is_one_line(argv, text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("model.pth")
    saved("narrow.pth", "odenet", 1, **{"7.odefunc.norm1.weight": torch.zeros(2)})
    saved("wide.pth", "odenet", 1, augment=3)
    torch.save({"weight": torch.zeros(1)}, "other.pt")
    torch.save({"w": torch.tensor([float("nan"), 1, float("nan")])}, "nan.pt")
    for ending in (".pt", ".npz", ".safetensors"):
        (tmp_path / f"text{ending}").write_text("no weights")
    assert text in refused(capsys, *argv)
    assert not (tmp_path / "run").exists()
    assert not list(tmp_path.glob("out*"))


def test_what_does_not_fit_is_named_all_at_once(tmp_path, capsys):
    changes = {"7.conv1.weight": torch.zeros(4, 4, 1, 1), "8.bias": None, "13.bias": torch.zeros(2)}
    saved(tmp_path / "model.pth", "resnet", 1, **changes)
    line = refused(capsys, tmp_path / "model.pth", tmp_path / "run", *DATA)
    for text in (
        "7.conv1.weight has shape (4, 4, 1, 1), not (4, 4, 3, 3)",
        "missing 8.bias",
        "unexpected 13.bias",
    ):
        assert text in line


def test_a_run_that_finds_no_room_leaves_nothing(tmp_path, capsys, monkeypatch):
    saved(tmp_path / "model.pth")

    def full(path, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jaxode.runs.checkpoint_storage.reserve", full)
    line = refused(capsys, tmp_path / "model.pth", tmp_path / "run", *DATA)
    assert "cannot write a checkpoint" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pt"])
def test_a_changed_byte_in_a_file_of_jaxodes_is_noticed(tmp_path, capsys, ending):
    """Also among the numbers of a safetensors file, which has no checksums of its own."""
    saved(tmp_path / "model.pth", "resnet", 0)
    path = tmp_path / f"digits{ending}"
    ran(capsys, tmp_path / "model.pth", tmp_path / "first.npz", "--dataset", "mnist")
    ran(capsys, tmp_path / "first.npz", path)
    whole, expected = path.read_bytes(), jaxode.load(path)
    for place in range(9, len(whole), len(whole) // 12):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x04]) + whole[place + 1 :])
        try:
            found = jaxode.load(path)
        except jaxode.ConfigError:
            continue
        assert ending != ".safetensors"
        jax.tree.map(np.testing.assert_array_equal, found.learned, expected.learned)
