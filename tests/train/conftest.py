"""One whole run, to which others are compared."""

from __future__ import annotations

import pytest
from runs import go
from stubs import without_pictures


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, go(out)


@pytest.fixture
def undrawn(monkeypatch, whole):
    """The picture is slow to draw and drawn once, in `whole`."""
    without_pictures(monkeypatch)
