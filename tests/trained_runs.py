"""Runs of a minute's fraction on the bundled sample, for tests that use a trained model."""

from __future__ import annotations

import pytest
from stubs import without_pictures

from jaxode.config import DataConfig, ModelConfig, RunConfig, SolveConfig
from jaxode.data import load
from jaxode.train import run


def make_run(out, model, seed=0):
    """A run of one epoch on 48 digits; returns its directory."""
    config = RunConfig(
        model=ModelConfig(model, width=8) if model == "odenet" else ModelConfig(model),
        solve=SolveConfig("heun", rtol=1e-2, atol=1e-2),  # compiles in a third of dopri5's time
        data=DataConfig(data="sample", limit_train=48, limit_test=20),
        batch_size=16,
        epochs=1,
        seed=seed,
    )
    out.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        run(config, load(config.data), out)
    return out
