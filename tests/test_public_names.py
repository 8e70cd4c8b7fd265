"""The names of the package: importing it is quick, and each name is there and documented."""

import subprocess
import sys

import pytest

import jaxode


def test_importing_the_package_waits_for_no_slow_library():
    code = "import sys, jaxode; print([m for m in ('jax', 'flax', 'diffrax') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("name", jaxode.__all__)
def test_a_public_name_is_there_and_documented(name):
    assert name in dir(jaxode)
    assert getattr(jaxode, name).__doc__


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxode.nothing
