"""Errors of arrays, their layouts, and names that mean the same: what needs no PyTorch."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from jaxode import ConfigError, parity
from jaxode.parity.arrangements import weight_arrangement
from jaxode.parity.comparison import aligned_error, relative_error, same_numbers
from jaxode.parity.names import equal_names


def test_without_pytorch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"pip install 'jaxode\[torch\]'"):
        parity.check(None, nnx.Linear(4, 2, rngs=nnx.Rngs(0)), np.ones((1, 4)))


def test_the_room_is_imported_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    files = list(Path(parity.__file__).parent.glob("*.py"))
    assert len(files) > 15
    for file in files:
        runpy.run_path(str(file))


def test_numbers_in_names_count_only_if_both_sides_have_them():
    assert equal_names(["net.0", "net.2"], ["net.layers.0", "net.layers.2"]) == [
        ("net.0", "net.layers.0"),
        ("net.2", "net.layers.2"),
    ]
    assert equal_names(["net.0", "net.2", "Head"], ["net.0", "net.1", "head"]) == [("Head", "head")]


def test_an_error_of_nothing_but_rounding_is_measured_against_the_scale():
    zero, rounding = np.zeros(3), np.full(3, 1e-17)
    assert relative_error(rounding, zero) == np.inf
    assert relative_error(rounding, zero, scale=1.0) < 1e-13
    assert relative_error(zero, zero) == 0.0
    assert relative_error(np.array([np.nan]), np.array([1.0])) == np.inf


def test_of_several_layouts_the_one_in_which_arrays_agree_is_taken():
    draws = np.random.default_rng(0)
    theirs = draws.standard_normal((2, 3, 3, 3))
    last = np.moveaxis(theirs, 1, -1)
    assert aligned_error(last, theirs, ["same"], 1e-11) == (0.0, "channels_last")
    assert aligned_error(theirs, theirs, ["channels_last"], 1e-11) == (0.0, "same")
    error, layout = aligned_error(last + 1, theirs, ["channels_last"], 1e-11)
    assert layout == "channels_last"
    assert error > 0.1
    assert aligned_error(theirs[:, :2], theirs, ["same"], 1e-11) is None
    flat = theirs.reshape(2, -1)
    assert same_numbers(last.reshape(2, -1), flat, 1e-11)
    assert not same_numbers(flat + 1, flat, 1e-11)


@pytest.mark.parametrize(
    ("kind", "name", "given", "wanted", "words"),
    [
        ("linear", "kernel", (3, 3), (3, 3), "[out, in] to [in, out]"),
        ("linear", "weight", (3, 3), (3, 3), "as it is"),
        ("other", "alpha", (3, 3), (3, 3), "as it is"),
        ("linear", "kernel", (6, 4), (4, 2, 3), "[out, in] to [in, out]"),
        ("conv", "kernel", (8, 3, 5, 5), (5, 5, 3, 8), "OIHW to HWIO"),
        ("conv", "kernel", (8, 3, 1, 1), (3, 8), "1x1 convolution to [in, out]"),
        ("norm", "scale", (8,), (1, 8), "reshaped"),
        ("linear", "kernel", (6, 4), (3, 8), None),
        ("conv", "kernel", (8, 3, 5, 5), (5, 5, 8, 3), None),
    ],
)
def test_a_rearrangement_is_found_by_kind_and_shape(kind, name, given, wanted, words):
    found = weight_arrangement(kind, name, given, wanted, flipped=False)
    if words is None:
        assert found is None
    else:
        assert found[1] == words
        assert found[0](np.zeros(given)).shape == wanted
