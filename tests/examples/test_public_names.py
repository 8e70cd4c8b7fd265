"""The public names: importing them is quick, and each is documented by an example.

`test_docstrings.py` runs the examples.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys

import pytest

import jaxode

ROOMS = (
    "callbacks",
    "config",
    "data",
    "data.depth",
    "data.series",
    "detection",
    "distributed",
    "export",
    "inference",
    "models",
    "nn",
    "ode",
    "parity",
    "runs",
    "tasks",
    "train",
)
"""Packages every public class and function of which has an example."""

WITHOUT = {
    "jaxode.runs.checkpoint.Checkpoint",  # is what the example of `Checkpoints` reads
    "jaxode.distributed.initialize.initialize_distributed",  # takes two processes
    "jaxode.train.fit.Fitted",  # is what the example of `fit` returns
}


def public_names(package: str) -> list[str]:
    """`__all__` of a package, or what its `__init__` imports."""
    module = importlib.import_module(package)
    imported = [name for name in vars(module) if not name.startswith("_")]
    return getattr(module, "__all__", imported)


def definitions() -> dict[str, object]:
    """Public classes and functions that are defined in the rooms, by full name."""
    homes = tuple(f"jaxode.{room}" for room in ROOMS)
    values = [
        getattr(importlib.import_module(package), name)
        for package in ("jaxode", *homes)
        for name in public_names(package)
    ]
    return {
        f"{value.__module__}.{value.__qualname__}": value
        for value in values
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith(homes)
    }


DEFINITIONS = definitions()


def test_importing_the_package_waits_for_no_slow_library():
    code = "import sys, jaxode; print([m for m in ('jax', 'flax', 'diffrax') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("name", jaxode.__all__)
def test_a_public_name_is_there_and_documented(name):
    assert name in dir(jaxode)
    assert getattr(jaxode, name).__doc__


@pytest.mark.parametrize("name", sorted(DEFINITIONS.keys() - WITHOUT))
def test_a_public_name_has_an_example(name):
    value = DEFINITIONS[name]
    module = importlib.import_module(value.__module__)
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(value, name, module)
    assert test.examples, f"the docstring of {name} has no example"


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxode.nothing
