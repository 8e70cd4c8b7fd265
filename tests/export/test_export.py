"""Exported models are read back by other programs and predict the same."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax import export

import jaxode
from jaxode.checks import ConfigError


@pytest.fixture(scope="module")
def models(trained):
    """An ODENet and an MLP."""
    return {name: jaxode.load(trained(name)) for name in ("odenet", "mlp")}


@pytest.fixture(scope="module")
def images():
    """Five digits as they are stored."""
    return jaxode.load_dataset("mnist", data="sample").test_images[:5]


@pytest.mark.parametrize(
    "solve",
    [
        {},
        {"per_sample": True},
        {"stepping": "torchdiffeq"},
        {"solver": "rk4", "step_size": 0.5},
        {"solver": "tsit5"},
    ],
)
def test_stablehlo_is_one_program_for_any_batch_and_platform(models, images, tmp_path, solve):
    model = models["odenet"].with_solve(**solve)
    path = jaxode.export.save(model, tmp_path / "digits.stablehlo")
    loaded = export.deserialize(bytearray(path.read_bytes()))
    assert set(loaded.platforms) == {"cpu", "cuda", "tpu"}
    for count in (1, 5):
        expected = model.predict(images[:count]).probabilities
        np.testing.assert_allclose(loaded.call(images[:count]), expected, rtol=1e-4, atol=1e-6)


def test_an_implicit_solve_is_not_exported(models, tmp_path):
    with pytest.raises(ConfigError, match="solver must be explicit to be exported, got kvaerno3"):
        jaxode.export.save(models["odenet"].with_solve(solver="kvaerno3"), tmp_path / "x.stablehlo")


@pytest.mark.filterwarnings("ignore")  # of the converter
@pytest.mark.parametrize(
    ("name", "solve"),
    [
        ("mlp", {}),
        ("odenet", {"solver": "rk4", "step_size": 0.5}),
        ("odenet", {"solver": "bosh3", "step_size": 0.7}),  # its last step is shorter
    ],
)
def test_onnx_runs_in_another_runtime(models, images, tmp_path, name, solve):
    pytest.importorskip("jax2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = models[name].with_solve(**solve)
    path = jaxode.export.save(model, tmp_path / "digits.onnx")
    session = runtime.InferenceSession(path)
    for count in (1, 5):
        expected = model.predict(images[:count]).probabilities
        (found,) = session.run(["probabilities"], {"images": images[:count]})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_onnx_of_an_adaptive_solve_says_what_to_do(models, tmp_path):
    with pytest.raises(ConfigError, match="format onnx needs a fixed step size"):
        jaxode.export.save(models["odenet"], tmp_path / "digits.onnx")


@pytest.mark.parametrize(
    ("name", "ending"),
    [("odenet", ".safetensors"), ("mlp", ".safetensors"), ("mlp", ".npz"), ("mlp", ".pt")],
)
def test_weights_are_loaded_with_all_settings(models, images, tmp_path, name, ending):
    model = models[name]
    path = jaxode.export.save(model, tmp_path / f"digits{ending}")
    loaded = jaxode.load(path)
    assert loaded.config == model.config
    assert (loaded.class_names, loaded.epoch) == (model.class_names, 1)
    jax.tree.map(np.testing.assert_array_equal, loaded.learned, model.learned)
    np.testing.assert_array_equal(
        loaded.predict(images).probabilities, model.predict(images).probabilities
    )


def test_damaged_or_foreign_weights_are_one_clear_line(models, tmp_path):
    from safetensors.numpy import load_file, save_file

    path = jaxode.export.save(models["mlp"], tmp_path / "digits.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r"is no \.safetensors file of arrays"):
        jaxode.load(cut)
    foreign = tmp_path / "foreign.safetensors"
    save_file(load_file(path), foreign)
    with pytest.raises(ConfigError, match="neither an odenet, nor a resnet, nor an mlp"):
        jaxode.load(foreign)


def test_pytorch_reads_its_weights(models, tmp_path):
    torch = pytest.importorskip("torch")
    from jaxode.interop import to_torch

    path = jaxode.export.save(models["odenet"], tmp_path / "digits.pt")
    found = torch.load(path, weights_only=True)
    expected = to_torch(models["odenet"].model)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), array)


def test_a_format_must_be_known(models, tmp_path):
    with pytest.raises(ConfigError, match=r"path must end in \.stablehlo, \.onnx"):
        jaxode.export.save(models["mlp"], tmp_path / "digits.h5")
    with pytest.raises(ConfigError, match="format must be one of stablehlo, onnx"):
        jaxode.export.save(models["mlp"], tmp_path / "digits", "keras")
