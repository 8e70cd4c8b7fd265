"""What a message makes of a value, and the checks of texts that are paths or addresses."""

import math

import pytest

from jaxode.checks import (
    LONGEST_VALUE,
    ConfigError,
    Range,
    closest,
    host_and_port,
    one_line,
    printable,
    require,
    require_in,
    require_path,
    shown,
)

KIND = lambda value: type(value).__name__  # noqa: E731 - as the name of a test, for the values are no names


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("dopri6", "'dopri6'"),
        (1e-3, "0.001"),
        (10**30, str(10**30)),
        (10**5000, "a whole number of about 5001 digits"),
        (-(10**400), "a whole number of about 401 digits"),
        ([10**5000], "a list"),  # whose digits Python refuses to write
        ("\x1b[31m\n\0", r"'\x1b[31m\n\x00'"),
        ("\udcff\u202e", r"'\udcff\u202e'"),
    ],
    ids=KIND,
)
def test_a_value_is_shown_in_printable_characters(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    "value", ["9" * 10**6, "\x1b" * 10**6, list(range(10**4)), {"a": "b" * 1000}], ids=KIND
)
def test_a_long_value_is_shortened(value):
    text = shown(value)
    assert len(text) <= LONGEST_VALUE
    assert text.isprintable()
    assert text[:2] == repr(value)[:2]


def test_an_error_becomes_one_printable_line():
    assert one_line("a\n  b\x1b[0m\udcff é") == r"a b\x1b[0m\udcff é"
    assert printable("größer als 1 µs") == "größer als 1 µs"


def test_a_range_has_no_place_for_what_is_no_number():
    within = Range(0, 1.5)
    assert all(value in within for value in (0, 1, 1.5, 0.0))
    assert not any(
        value in within for value in (-1e-300, 1.6, math.nan, math.inf, 10**400, "1", None, [1], 1j)
    )
    assert str(within) == "from 0 to 1.5"


@pytest.mark.parametrize("value", [True, 1.0, "1", [1], math.nan, 0, 11])
def test_a_count_is_a_whole_number_in_its_range(value):
    with pytest.raises(ConfigError, match="n must be a whole number from 1 to 10, got"):
        require_in("n", value, Range(1, 10))
    require_in("n", None, Range(1, 10))


def test_what_was_meant_is_known_by_meaning_and_by_spelling():
    names = ("rtol", "atol", "solver")
    meant = {"tolerance": "rtol", "batch": "batch-size", "adjoint": "solver dopri5"}
    assert closest("tolerance", names, meant) == "rtol"
    assert closest("tolerence", names, meant) == "rtol"
    assert closest("SOLVR", names, meant) == "solver"
    assert closest("adjoint", names, meant) == "solver dopri5"
    assert closest("batch", names, meant) is None  # a flag that this parser has not
    assert closest("zzz", names) is None
    assert closest("solver" * 10**5, names) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "not empty, got ''"),
        ("a\0b", r"no NUL character, got 'a\\x00b'"),
        ("a/" + "b" * 256, "255 a name"),
        ("é" * 128, "255 a name"),
        ("a/" * 2048, "at most 4095 bytes"),
        ("\ud800", r"the system's encoding, got '\\ud800'"),
    ],
    ids=KIND,
)
def test_what_can_be_no_path_is_refused(value, words):
    with pytest.raises(ConfigError, match=words):
        require_path("--out", value)
    require_path("--out", "b" * 255 + "/" + "é" * 127)
    require_path("--out", "\udcff")  # a name that is no UTF-8


@pytest.mark.parametrize(
    "value", ["host", ":1", "host:", "ho st:1", "h\x1b:1", "host:-1", "host:+1"], ids=KIND
)
def test_what_is_no_address_is_refused(value):
    with pytest.raises(
        ConfigError, match="coordinator must be HOST:PORT of process 0, with a port from 1 to 65535"
    ):
        host_and_port("coordinator", value)


@pytest.mark.parametrize("port", ["²", "١٢", "0", "65536", "1" * 10**6], ids=KIND)
def test_what_is_no_port_is_refused(port):
    with pytest.raises(ConfigError, match="HOST:PORT of process 0, with a port from 1 to 65535"):
        host_and_port("coordinator", f"127.0.0.1:{port}")


def test_an_address_has_two_parts():
    assert host_and_port("coordinator", "node0.cluster:65535") == ("node0.cluster", 65535)
    assert host_and_port("coordinator", "[::1]:1") == ("::1", 1)


def test_what_holds_is_not_refused():
    require(True, "a", 1, "two")
    with pytest.raises(ConfigError, match=r"^a must be two, got 1$"):
        require(False, "a", 1, "two")
