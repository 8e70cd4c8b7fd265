"""Small trained runs that the tests of this folder share."""

from __future__ import annotations

import pytest
from trained_runs import make_run


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Directories of an ODENet's and an MLP's run."""
    root = tmp_path_factory.mktemp("trained")
    return {name: make_run(root / name, name) for name in ("odenet", "mlp")}
