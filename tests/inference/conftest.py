"""Small trained runs that the tests of this folder share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def runs(trained):
    """Directories of an ODENet's and an MLP's run."""
    return {name: trained(name) for name in ("odenet", "mlp")}
