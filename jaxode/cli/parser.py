"""An argument parser whose every error is one line. Imports nothing slow."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from jaxode.checks import one_line, shortened
from jaxode.cli.suggestions import suggestion

NEGATIVE = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)

IGNORED_VALUE = re.compile("(?<=ignored explicit argument ).*", re.DOTALL)
"""The value given to a flag that takes none, in argparse's message."""


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with exactly one line and exit code 2."""

    @classmethod
    def from_doc(cls, prog: str, doc: str | None, **options: Any) -> Parser:
        """A parser whose help is a module's docstring.

        Args:
          prog: the command, for usage and messages.
          doc: its first line stands above the flags, the rest below them.
          options: further arguments of `argparse.ArgumentParser`.
        """
        about, _, rest = (doc or "").partition("\n")
        return cls(
            prog=prog,
            description=about,
            epilog=rest,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        message = message.removeprefix("argument ").replace(": must be ", " must be ", 1)
        message = IGNORED_VALUE.sub(lambda found: shortened(found[0]), message)
        print(f"{self.prog}: error: {one_line(message)}", file=sys.stderr)
        raise SystemExit(2)


def parse_flags(parser: Parser, argv: Sequence[str] | None) -> dict[str, Any]:
    """Values of the flags in `argv`, by name; None stands for the process's own arguments.

    Exits with code 2 and one line on a mistake, and with 0 after --help.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    for word in argv:
        flag, equals, value = word.partition("=")
        if flag.startswith("--") and equals and value == "--":  # argparse makes an empty list of it
            parser.error(f"{shortened(flag)} must be followed by a value, got '--'")
    known, unknown = parser.parse_known_args(join_negative_numbers(argv))
    if unknown:
        flags = [name for action in parser._actions for name in action.option_strings]
        first = next((text for text in unknown if text.startswith("-")), unknown[0])
        word = first.partition("=")[0]
        close = suggestion(word, flags) if word.startswith("-") else None
        hint = f": did you mean {close}?" if close else ": see --help"
        kind = "flag" if word.startswith("-") else "argument"
        parser.error(f"unknown {kind} {shortened(word)}{hint}")
    return vars(known)


def join_negative_numbers(argv: list[str]) -> list[str]:
    """Arguments with "--flag -1e-3" joined to "--flag=-1e-3".

    argparse mistakes some negative numbers for flags.
    """
    result: list[str] = []
    for word in argv:
        if (
            NEGATIVE.match(word)
            and result
            and result[-1].startswith("--")
            and "=" not in result[-1]
        ):
            result[-1] += "=" + word
        else:
            result.append(word)
    return result
