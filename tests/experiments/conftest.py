"""Runs inside the tests' process leave its compilation cache and the user's folders alone."""

from __future__ import annotations

import pytest

from experiments import compilations


@pytest.fixture(scope="session", autouse=True)
def kept():
    """How often a run enabled the cache of compilations."""
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilations, "keep", lambda: asked.append(True))
        yield asked
