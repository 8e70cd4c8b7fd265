"""Public names of the solve layer: each is documented, with an example that runs."""

from __future__ import annotations

import doctest

import pytest

from jaxode import ode

pytestmark = pytest.mark.typed

DOCUMENTED = [name for name in ode.__all__ if name != "VectorField"]  # an alias has no docstring


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_example_of_a_public_name_runs(name):
    public = getattr(ode, name)
    examples = doctest.DocTestFinder(recurse=False).find(public, name, globs={})
    runner = doctest.DocTestRunner()
    for example in examples:
        runner.run(example)
    assert runner.summarize().attempted > 0
    assert runner.summarize().failed == 0


@pytest.mark.parametrize("name", ["odeint", "trajectory"])
def test_a_function_documents_its_arguments_results_and_errors(name):
    documentation = getattr(ode, name).__doc__
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert f"\n    {section}\n" in documentation
