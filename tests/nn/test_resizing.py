"""Enlarged maps against PyTorch's interpolation."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.nn.resizing import enlarged


@pytest.mark.parametrize(("old", "new"), [((3, 5), (7, 10)), ((1, 1), (4, 3)), ((6, 8), (6, 8))])
def test_enlarging_is_pytorchs(old, new, x64):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, *old, 3))
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(x).permute(0, 3, 1, 2), new, mode="bilinear", align_corners=False
    )
    found = enlarged(jnp.asarray(x), new)
    np.testing.assert_allclose(found, wanted.permute(0, 2, 3, 1), atol=1e-14)
