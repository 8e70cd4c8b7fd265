"""What holds of every flag of every command: a range for each number, a check for each path, one
line for a mistake.
"""

from pathlib import Path

import pytest

from jaxode.cli.converters import Choice, Number, path_text, to_path
from jaxode.cli.parser import Parser, parse_flags

HOSTILE = (
    "",
    " ",
    "١٢",
    "²",
    "1_000",
    "1,5",
    "0x10",
    "nan",
    "Infinity",
    "1e",
    "1\x1b[31m",
    "\udcff",
    "9" * 10**6,
)
"""Texts that are no numbers here, some of which Python's own int or float would take."""

NO_PATHS = ("", "a\0b", "b" * 256, "a/" * 2048)


def complaint(parser, flag, text, capsys):
    """The one line with which a flag's value is refused, less the command's name."""
    with pytest.raises(SystemExit) as stop:
        parse_flags(parser, [f"{flag}={text}"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert len(line) < 700
    return line.removeprefix(f"{parser.prog}: error: ")


def check(parser, capsys):
    """Assert what holds of every flag of a command."""
    assert isinstance(parser, Parser)
    for action in parser._actions:
        if action.nargs == 0:  # a switch, or --help
            continue
        assert action.type not in (None, int, float, str, Path), action.dest
        flag = max(action.option_strings, default=None)
        if flag is None:
            continue
        if isinstance(action.type, Number):
            check_number(parser, flag, action.type, capsys)
        if action.type in (path_text, to_path):
            for text in NO_PATHS:
                assert complaint(parser, flag, text, capsys).startswith(f"{flag} must be a path"), (
                    text[:20]
                )
        if isinstance(action.type, Choice):
            assert complaint(parser, flag, "zz", capsys).startswith(f"{flag} must be one of ")
        complaint(parser, flag, "", capsys)
        assert (
            complaint(parser, flag, "--", capsys) == f"{flag} must be followed by a value, got '--'"
        )


def check_number(parser, flag, number, capsys):
    """Assert that both ends of the range are allowed and nothing else."""
    whole = number.kind is int
    assert [number(repr(end)) for end in number.within] == list(number.within)
    allowed = f"{flag} must be a {'whole ' if whole else ''}number {number.within}, got "
    low, high = number.within
    for value in (low - 1, high + 1 if whole else high * 10):
        assert complaint(parser, flag, repr(value), capsys) == f"{allowed}{number.kind(value)!r}"
    for text in (*HOSTILE, *(("1.0", "1e3") if whole else ("1e400",))):
        assert complaint(parser, flag, text, capsys).startswith(allowed), text[:20]
