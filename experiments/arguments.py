"""The command line, made from the settings' own fields.

Imports nothing slow, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from experiments.converters import Number, address, nonempty, path_text, to_path
from experiments.suggestions import suggestion
from jaxode.checks import JOIN_SECONDS, PROCESSES, ConfigError, Range, one_line, shortened
from jaxode.config import (
    CONVOLUTIONS_ONLY,
    PARTS,
    DataConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    RunConfig,
    SolveConfig,
    hints,
)

EXAMPLES = """examples:
  {prog}                              the protocol, on the full set or the bundled sample
  {prog} --model resnet --blocks 6    residual blocks instead of an ODE
  {prog} --data sample --epochs 2     minutes, without network
  {prog} --resume {run}    go on after a stop
"""

GROUPS: dict[str, tuple[type, tuple[str, ...]]] = {
    "model": (ModelConfig, ()),
    "solve": (SolveConfig, ()),
    "data": (DataConfig, ("dataset",)),
    "optimiser": (OptimConfig, ()),
    "devices": (ParallelConfig, ()),
    "run": (RunConfig, tuple(PARTS)),
}
"""Title of each group of flags, the class whose fields they are, and the fields that are no flags.
"""

NEGATIVE = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)


EXPLICIT = re.compile("(?<=ignored explicit argument ).*", re.DOTALL)
"""The value of a flag that takes none, in argparse's message."""


@dataclass(frozen=True)
class Request:
    """What was asked for.

    `settings` has only the flags that were given, under their setting's name.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    out: Path | None = None
    resume: Path | None = None
    tensorboard: bool = False
    quiet: bool = False
    describe: bool = False
    coordinator: str | None = None
    processes: int | None = None
    process_id: int | None = None
    secret_file: Path | None = None
    join_timeout: float | None = None


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with exactly one line."""

    @classmethod
    def of(cls, prog: str, doc: str | None, **options: Any) -> Parser:
        """A parser whose help is a module's docstring.

        The docstring's first line stands above the flags, the rest below them.
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
        message = EXPLICIT.sub(lambda found: shortened(found[0]), message)
        print(f"{self.prog}: error: {one_line(message)}", file=sys.stderr)
        raise SystemExit(2)


def explained(spec: dataclasses.Field[Any], hint: Any, default: Any) -> str:
    """Help text of a setting: its meaning, its choices and its default."""
    text = spec.metadata["help"]
    choices = spec.metadata["choices"] or (
        typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    )
    if any(choice not in text for choice in choices):
        text += f"; one of {', '.join(choices)}"
    if spec.metadata["within"]:
        text += f" [{spec.metadata['within'].short}]"
    if default is not None and default is not False and "default" not in text:
        text += f" (default: {default})"
    return text.replace("%", "%%")


def add_settings(parser: Parser, preset: RunConfig) -> Any:
    """Add a flag for every setting; returns the group of those of the run.

    `preset` gives the defaults.
    """
    group: Any = None
    for title, (settings, left_out) in GROUPS.items():
        group = parser.add_argument_group(title)
        add_fields(group, settings, preset.flat(), left_out)
    return group


def add_fields(
    group: Any, settings: type, defaults: dict[str, Any], left_out: tuple[str, ...] = ()
) -> None:
    """Add a flag for every field of a dataclass of settings, less those left out."""
    kinds = hints(settings)
    for spec in dataclasses.fields(settings):
        if spec.name in left_out:
            continue
        kind = kinds[spec.name]
        text = explained(spec, kind, defaults[spec.name])
        flag = "--" + spec.name.replace("_", "-")
        if kind is bool:
            group.add_argument(flag, dest=spec.name, action="store_true", help=text)
            continue
        convert, metavar = converted(spec, kind)
        group.add_argument(flag, dest=spec.name, type=convert, metavar=metavar, help=text)


def converted(spec: dataclasses.Field[Any], kind: Any) -> tuple[Callable[[str], Any], str]:
    """What makes a setting of a flag's text, and what stands for that text in the help."""
    if kind in (int, float):
        return Number(kind, spec.metadata["within"]), "N" if kind is int else "X"
    return (path_text, "DIR") if spec.metadata["path"] else (nonempty, "NAME")


def build_parser(preset: RunConfig, doc: str, prog: str) -> Parser:
    """The parser of one experiment: `doc` is its docstring, `preset` gives the defaults."""
    run = f"runs/{preset.data.dataset}/RUN"
    parser = Parser(
        prog=prog,
        usage="%(prog)s [flags]",
        description=doc.strip(),
        epilog=EXAMPLES.format(prog=prog, run=run),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    group = add_settings(parser, preset)
    several = parser.add_argument_group(
        "several processes", "each started with the same flags; found out under SLURM"
    )
    several.add_argument(
        "--coordinator",
        type=address,
        metavar="HOST:PORT",
        help="where process 0 runs, and a free port there",
    )
    several.add_argument(
        "--processes", type=Number(int, PROCESSES), metavar="N", help="how many processes there are"
    )
    which = Number(int, Range(0, PROCESSES.at_most - 1))
    several.add_argument(
        "--process-id", type=which, metavar="N", help="which of them this is, from 0"
    )
    where = (
        "where process 0 writes the secret for the others (default: in ~/.cache; or set"
        " JAXODE_SECRET)"
    )
    several.add_argument("--secret-file", type=to_path, metavar="FILE", help=where)
    late = "how long to wait for all processes to be ready (default: 60)"
    several.add_argument(
        "--join-timeout", type=Number(float, JOIN_SECONDS), metavar="SECONDS", help=late
    )
    group.add_argument(
        "--out",
        type=to_path,
        metavar="DIR",
        help=f"where the results go (default: {run[:-3]}MODEL-TIME)",
    )
    group.add_argument(
        "--resume", type=to_path, metavar="DIR", help="go on with the run in DIR, with its settings"
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="write event files too; needs tensorboardX"
    )
    group.add_argument(
        "--quiet", action="store_true", help="print only warnings and the final summary"
    )
    group.add_argument(
        "--describe",
        action="store_true",
        help="print the model as one JSON object and train nothing",
    )
    return parser


def joined(argv: list[str]) -> list[str]:
    """Arguments with "--flag -1e-3" joined to "--flag=-1e-3".

    argparse takes some negative numbers for flags.
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


def given(parser: Parser, argv: list[str]) -> dict[str, Any]:
    """What the arguments give. Exits with code 2 and one line on a mistake, with 0 after --help."""
    for word in argv:
        flag, equals, value = word.partition("=")
        if (
            flag.startswith("--") and equals and value == "--"
        ):  # of which argparse makes an empty list
            parser.error(f"{shortened(flag)} must be followed by a value, got '--'")
    known, unknown = parser.parse_known_args(joined(argv))
    if unknown:
        flags = [name for action in parser._actions for name in action.option_strings]
        word = next((text for text in unknown if text.startswith("-")), unknown[0]).partition("=")[
            0
        ]
        close = suggestion(word, flags) if word.startswith("-") else None
        hint = f": did you mean {close}?" if close else ": see --help"
        parser.error(
            f"unknown {'flag' if word.startswith('-') else 'argument'} {shortened(word)}{hint}"
        )
    return vars(known)


def parse(parser: Parser, argv: list[str]) -> Request:
    """The request in the arguments.

    Exits with code 2 and one line on a mistake, with 0 after --help.
    """
    values = given(parser, argv)
    own = {
        spec.name: values.pop(spec.name)
        for spec in dataclasses.fields(Request)
        if spec.name in values
    }
    if "out" in own and "resume" in own:
        parser.error("give --resume or --out, not both: a resumed run stays in its directory")
    return Request(settings=values, **own)


def unused(config: RunConfig, asked: dict[str, Any], *, unsplit: bool = False) -> list[str]:
    """The given settings that have no effect on this model, optimiser or set, as flags.

    `unsplit` says that the set comes without a test split.
    """
    idle: set[str] = set() if unsplit else {"test_share", "split_seed"}
    if not config.model.ode_blocks:
        idle |= {"augment_dims", *(spec.name for spec in dataclasses.fields(SolveConfig))}
    facts = config.model.facts
    idle |= {"width", "augment_dims", "kernels"} - facts.uses
    if not facts.convolutional and config.precision in CONVOLUTIONS_ONLY:
        idle.add("precision")
    if facts.single_band:
        idle.add("angle")
    if not config.solve.gradient_facts.taped:
        idle.add("tape_steps")
    if config.optim.optimizer != "sgd":
        idle.add("momentum")
    return ["--" + name.replace("_", "-") for name in asked if name in idle]


def configured(preset: RunConfig, asked: dict[str, Any]) -> RunConfig:
    """The preset with the given settings. Raises ConfigError."""
    try:
        return preset.replaced(**asked)
    except ConfigError as error:
        raise in_flags(error, asked) from None


def in_flags(error: ConfigError, asked: dict[str, Any]) -> ConfigError:
    """The error with its setting named as a flag, which is the name that people know."""
    name, _, rest = str(error).partition(" ")
    return ConfigError(f"--{name.replace('_', '-')} {rest}") if name in asked else error
