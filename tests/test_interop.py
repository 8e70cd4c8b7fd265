"""Parameters to PyTorch's layout and back."""

from __future__ import annotations

import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx

from jaxode.config import ModelConfig, SolveConfig
from jaxode.interop import (
    InteropError,
    from_torch,
    read_weights,
    to_torch,
    write_weights,
)
from jaxode.models import create_model


def _model(kind, blocks=None, channels=1):
    return create_model(
        ModelConfig(kind, blocks, 8),
        SolveConfig(),
        image_shape=(12, 12, channels),
        classes=4,
        rngs=nnx.Rngs(0),
    )


@pytest.mark.parametrize(
    ("kind", "blocks"),
    [("odenet", 0), ("odenet", 1), ("odenet", 2), ("resnet", 2), ("resnet", 6), ("mlp", 0)],
)
def test_parameters_go_both_ways_unchanged(kind, blocks):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("torch_ref.model")
    channels = 3
    ours = _model(kind, blocks, channels)
    weights = to_torch(ours, channels=channels)
    theirs = reference.build(kind, blocks, channels=channels, classes=4, width=8, side=12)
    theirs.load_state_dict(
        {name: torch.from_numpy(array) for name, array in weights.items()}
    )  # strict
    back = from_torch(ours, weights, channels=channels)
    jax.tree.map(np.testing.assert_array_equal, back, nnx.state(ours, nnx.Param))


def test_what_does_not_fit_is_named():
    ours = _model("mlp")
    weights = to_torch(ours)
    del weights["1.bias"]
    weights |= {"9.weight": np.zeros(1), "3.weight": np.zeros((2, 2))}
    with pytest.raises(
        InteropError, match=r"unexpected 9\.weight.*missing 1\.bias.*3\.weight has shape \(2, 2\)"
    ):
        from_torch(ours, weights)


def test_weight_files_need_no_torch(tmp_path):
    ours = _model("odenet", 1)
    weights = to_torch(ours)
    for ending in (".npz", ".pt", ".safetensors"):
        write_weights(tmp_path / f"model{ending}", weights)
    code = (
        "import sys; from pathlib import Path; from jaxode.interop import read_weights;"
        "found = [read_weights(Path(path)) for path in sys.argv[1:]];"
        "assert 'torch' not in sys.modules;"
        "print(*(len(weights) for weights in found))"
    )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.split() == 3 * [str(len(weights))]
    back = from_torch(ours, read_weights(tmp_path / "model.safetensors"))
    jax.tree.map(np.testing.assert_array_equal, back, nnx.state(ours, nnx.Param))


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InteropError, match=r"must end in one of \.safetensors, .*, got .*\.h5$"):
        read_weights(tmp_path / "model.h5")
    with pytest.raises(
        InteropError, match=r"one of \.safetensors, \.npz, \.pt, \.pth, got .*\.h5$"
    ):
        write_weights(tmp_path / "model.h5", {})
