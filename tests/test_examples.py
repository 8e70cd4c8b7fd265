"""The examples in docstrings of modules that are used beside the public names."""

import doctest
import importlib

import pytest

MODULES = (
    "jaxode.interop.layout",
    "jaxode.interop.odenet_mnist",
    "jaxode.interop.pickle_machine",
    "jaxode.interop.torch_writer",
    "jaxode.interop.weight_files",
    "jaxode.plots.tables",
    "jaxode.runs.provenance",
    "jaxode.train.objective",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0
