"""The public names: importing them is quick, and each is documented by an example that runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys
import typing

import pytest

import jaxode

ROOMS = ("config", "models", "nn", "tasks")
"""Packages whose `__init__` re-exports their public names."""


def public_names(room: str) -> list[str]:
    """`__all__` of a package, or what its `__init__` imports as itself."""
    module = importlib.import_module(room)
    imported = [name for name in vars(module) if not name.startswith("_")]
    names = getattr(module, "__all__", imported)
    return [name for name in names if not inspect.ismodule(getattr(module, name))]


def definitions() -> dict[str, object]:
    """The classes and functions among the public names, by full name."""
    found = {}
    for room in ("jaxode", *(f"jaxode.{room}" for room in ROOMS)):
        for name in public_names(room):
            value = getattr(importlib.import_module(room), name)
            is_alias = typing.get_origin(value) is not None
            if (inspect.isclass(value) or inspect.isfunction(value)) and not is_alias:
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


DEFINITIONS = definitions()


def test_importing_the_package_waits_for_no_slow_library():
    code = "import sys, jaxode; print([m for m in ('jax', 'flax', 'diffrax') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("name", jaxode.__all__)
def test_a_public_name_is_there_and_documented(name):
    assert name in dir(jaxode)
    assert getattr(jaxode, name).__doc__


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_public_name_has_an_example_that_runs(name):
    value = DEFINITIONS[name]
    module = importlib.import_module(value.__module__)
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(value, name, module, vars(module).copy())
    assert test.examples, f"the docstring of {name} has no example"
    assert doctest.DocTestRunner().run(test).failed == 0


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxode.nothing
