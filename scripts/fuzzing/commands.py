"""Hostile command lines: odd numbers, words and flags.

Every one has --describe, so none trains.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from jaxode.cli.request import build_parser
from scripts.fuzzing.verdict import Case, of_command

EXPERIMENTS = ("mnist", "fashion_mnist", "cifar10", "cifar100", "asl_alphabet", "iceberg")

NUMBERS = (
    "0",
    "-1",
    "-0",
    "+3",
    "1",
    "2",
    "7",
    "64",
    "0.5",
    "1.",
    ".1",
    "5.0",
    "1e-3",
    "1e3",
    "1e400",
    "1e-400",
    "-1e-3",
    "nan",
    "-nan",
    "inf",
    "-inf",
    "infinity",
    "",
    " ",
    " 3 ",
    "3\n",
    "1_000",
    "0x10",
    "0b1",
    "1e",
    "--1",
    "١٢",
    "²",
    "½",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "1" + "0" * 30,
    "9" * 5000,
    "1" + "0" * 400,
    "true",
    "None",
    "1,5",
    "1 000",
    "10%",
    "$(id)",
    "`id`",
    "1;ls",
    "5000",
    "100000",
)
"""What may stand where a number is expected."""

WORDS = (
    "",
    " ",
    "-",
    "--",
    "none",
    "None",
    "all",
    "ALL",
    "dopri",
    "rk45",
    "Dopri5",
    "SGD",
    "../..",
    "/dev/null",
    "/",
    "a" * 5000,
    "☃",
    "\x1b[31mred",
    "two\nlines",
    "\ud800",
    "%s%n",
    "{0}",
    "${HOME}",
    "~",
    "*",
    "a,b",
    "rotate,",
    "nul\x00byte",
    "\t",
    "'",
    '"',
    "\\",
    "@file",
    "--help",
    "-h",
    "=",
    "crop=pad",
)
"""What may stand where a name or a path is expected."""

FLAGS = (
    "--tolerance",
    "--learning-rate",
    "--solvr",
    "--gpu",
    "--e",
    "--rtol-",
    "---lr",
    "-lr",
    "--LR",
    "--no-quiet",
    "--",
    "-",
    "--\ud800",
    "--☃",
    "--lr\n",
    "--describe=1",
    "--quiet=yes",
    "--model-",
    "positional",
    "-1",
    "--config",
)
"""What may stand where a flag is expected."""


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The flags of a parser that do not end it."""
    leave_out = ("help", "describe")
    return [
        action
        for action in parser._actions
        if action.option_strings and action.dest not in leave_out
    ]


def words(rng: Random, action: argparse.Action) -> list[str]:
    """A flag with a hostile value, in one word or two.

    One without values sometimes gets one all the same.
    """
    flag = action.option_strings[-1]
    if action.nargs == 0:
        return [flag] if rng.random() < 0.7 else [f"{flag}={rng.choice(WORDS)}"]
    number = action.metavar in ("N", "X", "SECONDS")
    value = rng.choice(NUMBERS if number == (rng.random() < 0.8) else WORDS)
    return [f"{flag}={value}"] if rng.random() < 0.3 else [flag, value]


def command_line(rng: Random, parser: argparse.ArgumentParser) -> list[str]:
    """Arguments of one attempt; the last is --describe."""
    chosen = rng.sample(actions(parser), rng.choice((1, 1, 1, 2, 3)))
    argv = [word for action in chosen for word in words(rng, action)]
    if rng.random() < 0.15:
        argv.insert(rng.randrange(len(argv) + 1), rng.choice(FLAGS))
    return [*argv, "--describe"]


def as_number(text: str, kind: type) -> float | int | None:
    """The number that plain ASCII text writes; None if it writes none of this kind."""
    plain = r"[+-]?[0-9]+" if kind is int else r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
    if not re.fullmatch(plain, text, re.ASCII) or len(text) > 400:
        return None
    value = kind(text)
    return value if math.isfinite(value) else None


def given_values(argv: list[str], flags: dict[str, argparse.Action]) -> dict[str, str]:
    """The text that the arguments give for each setting, the last of several."""
    found: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        action = flags.get(name)
        if action is not None and action.nargs != 0:
            found[action.dest] = value if equals else next(rest, "")
    return found


def misread(found: dict[str, Any], given: dict[str, str]) -> str:
    """Which settings were read as something other than the text says; "" if none was."""
    for name, text in given.items():
        if name not in found:
            continue
        value = found[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            good = value == text
        else:
            good = as_number(text, type(value)) == value
        if not good:
            return f"--{name} {text[:60]!r} was read as {value!r}"
    return ""


def flat(config: dict[str, Any]) -> dict[str, Any]:
    """Settings by name, out of their parts."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= value if isinstance(value, dict) else {name: value}
    return found


def check(argv: list[str], flags: dict[str, argparse.Action]) -> Callable[[str], str]:
    """A function that returns what is wrong with the description printed for these arguments."""

    def right(out: str) -> str:
        if {"--help", "-h"} & set(argv):
            return "" if out.startswith("usage:") else "no help"
        try:
            described = json.loads(out)
        except ValueError:
            return f"no JSON: {out[:60]!r}"
        return misread(flat(described["config"]), given_values(argv, flags))

    return right


def cases(rng: Random, count: int) -> Iterator[Case]:
    """So many command lines of the experiments."""
    modules = [importlib.import_module(f"experiments.{name}") for name in EXPERIMENTS]
    parsers = [build_parser(module.PRESET, module.__doc__ or "", "attack") for module in modules]
    for _ in range(count):
        which = rng.randrange(len(modules))
        flags = {
            name: action for action in parsers[which]._actions for name in action.option_strings
        }
        argv = command_line(rng, parsers[which])
        main, right = modules[which].main, check(argv, flags)
        name = f"{EXPERIMENTS[which]} {' '.join(ascii(word)[:80] for word in argv)}"
        yield Case(name, lambda main=main, argv=argv, right=right: of_command(main, argv, right))
