"""A checkpoint of torchdiffeq's odenet_mnist.py is used as there: its pixels, solver, tolerance."""

from __future__ import annotations

import argparse
import math

import numpy as np
import pytest
from flax import nnx

import jaxode
from jaxode.checks import ConfigError
from jaxode.interop import layout_of, torch_names

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch_ref.model import build  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402

SAME = 1e-4
"""Largest relative difference of logits in float32, at tolerance 1e-3."""


def network(kind, downsampling, settings):
    """The script's model, narrower and with fewer residual blocks."""
    torch.manual_seed(0)
    options = {"width": 8, "downsampling": downsampling, "settings": settings}
    return build(kind, 1 if kind == "odenet" else 2, channels=1, classes=10, **options)


def saved(path, model, **flags):
    """As the script saves it."""
    usual = {"network": "odenet", "tol": 1e-3, "adjoint": False, "downsampling_method": "conv",
             "nepochs": 160, "data_aug": True, "lr": 0.1, "batch_size": 128,
             "test_batch_size": 1000, "save": "./experiment1", "gpu": 0}  # fmt: skip
    namespace = argparse.Namespace(**{**usual, **flags})
    torch.save({"state_dict": model.state_dict(), "args": namespace}, path)
    return path


@pytest.fixture(scope="module")
def digits():
    return jaxode.load_dataset("mnist", data="sample").test_images[:16]


@pytest.mark.parametrize(
    ("kind", "downsampling", "tol"),
    [("odenet", "conv", 1e-3), ("odenet", "res", 1e-2), ("resnet", "res", 1e-3)],
)
def test_it_classifies_as_the_script_does(tmp_path, digits, kind, downsampling, tol):
    model = network(kind, downsampling, Settings("dopri5", rtol=tol, atol=tol))
    path = tmp_path / "model.pth"
    saved(path, model, network=kind, tol=tol, downsampling_method=downsampling)
    loaded = jaxode.load(path)
    logits, nfe = loaded.predict_images(digits, len(digits))
    pixels = torch.from_numpy(digits).permute(0, 3, 1, 2) / 255  # as ToTensor
    expected = model(pixels).detach().numpy()
    assert np.abs(logits - expected).max() < SAME * np.abs(expected).max()
    np.testing.assert_array_equal(logits.argmax(1), expected.argmax(1))
    if kind == "odenet":
        assert set(nfe) == {model[7 if downsampling == "conv" else 3].odefunc.nfe}
    assert loaded.predict(digits / 255).labels.tolist() == expected.argmax(1).tolist()


def test_what_the_script_was_told_is_recorded(tmp_path):
    model = network("odenet", "conv", Settings())
    flags = {"tol": 1e-5, "adjoint": True, "lr": 0.05, "batch_size": 64, "data_aug": False}
    loaded = jaxode.load(saved(tmp_path / "model.pth", model, **flags))
    config = loaded.config
    solve = (config.solve.solver, config.solve.rtol, config.solve.atol, config.solve.gradient)
    assert solve == ("dopri5", 1e-5, 1e-5, "backsolve")
    assert config.solve.stepping == "torchdiffeq"
    assert (config.data.pixels, config.data.crop, config.data.drop_last) == ("unit", "none", True)
    assert (config.optim.lr, config.optim.schedule) == (0.05, "milestones")
    assert (config.batch_size, config.evaluation_batch, config.epochs) == (64, 1000, 160)
    assert (config.model.width, config.model.blocks) == (8, 1)
    assert loaded.converted_from["file"] == "model.pth"
    assert loaded.converted_from["args"]["save"] == "./experiment1"
    again = jaxode.load(jaxode.export.save(loaded, tmp_path / "model.npz"))
    assert (again.config, again.converted_from) == (config, loaded.converted_from)
    looser = again.with_solve(rtol=1e-1)
    assert looser.converted_from == loaded.converted_from


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"network": "resnet"}, "its args say model resnet, and its weights are those of odenet"),
        ({"downsampling_method": "res"}, "its args say downsampling_method res, and its weights"),
        ({"tol": -1}, "its args: rtol must be a number from 1e-16 to 1000, got -1"),
        ({"tol": "tight"}, "its args: rtol must be"),
        ({"tol": math.nan}, "its args: rtol must be"),
        ({"adjoint": "yes"}, "its args: adjoint must be true or false, got 'yes'"),
        ({"batch_size": 0}, "its args: batch_size must be"),
    ],
)
def test_flags_that_cannot_be_are_one_line(tmp_path, flags, message):
    path = saved(tmp_path / "model.pth", network("odenet", "conv", Settings()), **flags)
    with pytest.raises(ConfigError, match=message) as caught:
        jaxode.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_weights_alone_do_not_say_what_they_are_of(tmp_path):
    model = build("mlp", 0, channels=3, classes=10)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    message = r"does not say of which images it is: .*--dataset NAME \(cifar10, say\)"
    with pytest.raises(ConfigError, match=message):
        jaxode.load(tmp_path / "model.pth")


@pytest.mark.parametrize(("kind", "channels"), [("cnn", 3), ("odecnn", 4)])
def test_models_of_radar_images_are_known_by_their_names(kind, channels):
    shape = (75, 75, channels)
    names = torch_names(
        nnx.eval_shape(
            lambda: jaxode.create_model(kind, image_shape=shape, classes=2, rngs=nnx.Rngs(0))
        )
    )
    found = layout_of({name: np.empty(channels) for name in names.values()})
    assert (found.model, found.channels, found.classes) == (kind, channels, 2)
