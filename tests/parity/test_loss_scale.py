"""The rule of the loss scale beside torch.amp.GradScaler's, step by step."""

import jax.numpy as jnp
import numpy as np
import torch

from jaxode.train import scaling


def test_the_scale_follows_grad_scaler(monkeypatch):
    monkeypatch.setattr(scaling, "INTERVAL", 3)
    scaler = torch.amp.GradScaler("cpu", growth_interval=3)
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    scale = scaling.initial_scale("float16")
    assert scaler.get_growth_factor() == scaling.GROWTH
    assert scaler.get_backoff_factor() == scaling.BACKOFF
    assert torch.amp.GradScaler("cpu").get_growth_interval() == 2000
    assert float(scaler.scale(torch.ones(()))) == float(scale.factor)
    updates = 0
    for good in np.random.default_rng(0).random(60) < 0.8:
        parameter.grad = torch.tensor(1.0 if good else np.inf)
        scaler.step(optimiser)
        scaler.update()
        scale = scaling.after(scale, jnp.asarray(good))
        updates += good
        assert float(scale.factor) == scaler.get_scale()
        assert int(scale.good) == scaler._get_growth_tracker()
    assert int(scale.skipped) == 60 - updates > 5
