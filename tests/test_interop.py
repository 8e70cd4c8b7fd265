"""Parameters to PyTorch's layout and back."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import nnx

from jaxode.config import ModelConfig, SolveConfig
from jaxode.interop import InteropError, from_torch, to_torch
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
