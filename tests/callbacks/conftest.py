"""Fits without pictures, and a callback that keeps what it is told."""

from __future__ import annotations

import pytest
from lines_fitted import Told, fit_a_line
from stubs import without_pictures


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def fit_line(monkeypatch):
    """Fits a line to a line."""
    without_pictures(monkeypatch)

    return fit_a_line
