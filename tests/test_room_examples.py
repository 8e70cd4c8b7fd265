"""The examples in the docstrings of what the rooms of runs, processes and training export."""

import doctest
import importlib
import inspect

import pytest
from stubs import without_pictures

ROOMS = ("runs", "distributed", "train")

WITHOUT = {
    "Checkpoint",  # is what the example of `Checkpoints` reads
    "initialize_distributed",  # its example takes two processes
    "Fitted",  # is what the example of `fit` returns
}


def exported():
    for room in ROOMS:
        module = importlib.import_module(f"jaxode.{room}")
        for name, value in vars(module).items():
            if callable(value) and not name.startswith("_") and name not in WITHOUT:
                yield pytest.param(value, id=f"{room}.{name}")


@pytest.mark.parametrize("value", list(exported()))
def test_the_example_of_an_exported_name_runs(value, monkeypatch):
    without_pictures(monkeypatch)
    text = inspect.getdoc(value)
    assert text
    assert ">>>" in text
    example = doctest.DocTestParser().get_doctest(text, {}, value.__name__, None, None)
    assert doctest.DocTestRunner().run(example).failed == 0
