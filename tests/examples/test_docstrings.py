"""Every example in a docstring of the package runs, a module at a time."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from stubs import without_pictures

import jaxode
from jaxode import ode

ROOT = Path(jaxode.__file__).parent

ELSEWHERE = {getattr(ode, name).__qualname__ for name in ode.__all__ if name != "VectorField"}
"""Their examples run with the annotated shapes checked, in `tests/ode/test_public_names.py`."""


def modules_with_examples() -> list[str]:
    """Names of the modules in whose text there is an example."""
    files = sorted(ROOT.rglob("*.py"))
    names = [
        ".".join((jaxode.__name__, *file.relative_to(ROOT).with_suffix("").parts))
        for file in files
        if ">>> " in file.read_text(encoding="utf-8")
    ]
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_run(name, monkeypatch):
    without_pictures(monkeypatch)
    module = importlib.import_module(name)
    runner, own = doctest.DocTestRunner(), name.startswith("jaxode.ode.")
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        if not (own and test.name.removeprefix(f"{name}.") in ELSEWHERE):
            runner.run(test)
    assert runner.summarize().failed == 0
