"""What a training command was asked for: settings that were given, and what to do with them.

Imports nothing slow, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxode.checks import COUNTS, JOIN_SECONDS, PROCESSES, ConfigError, Range, one_line
from jaxode.cli.converters import Number, address, nonempty, to_path
from jaxode.cli.flags import add_protocol, add_settings, error_with_flag, flag_of
from jaxode.cli.parser import Parser, parse_flags
from jaxode.config import CONVOLUTIONS_ONLY, RunConfig, SolveConfig
from jaxode.config import protocol as with_protocol
from jaxode.config.dataset_names import folder_name
from jaxode.config.migration import migrated
from jaxode.strict_json import read_object

EXAMPLES = """examples:
  {prog}                              the protocol, on the full set or the bundled sample
  {prog} --model resnet --blocks 6    residual blocks instead of an ODE
  {prog} --data sample --epochs 2     minutes, without network
  {prog} --resume {run}    go on after a stop
"""


@dataclass(frozen=True)
class Request:
    """A parsed command line.

    `settings` has only the flags that were given, by the name of their setting.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    out: Path | None = None
    resume: Path | None = None
    config: Path | None = None
    protocol: str | None = None
    losses: int = 0
    tensorboard: bool = False
    wandb: str | None = None
    quiet: bool = False
    describe: bool = False
    coordinator: str | None = None
    processes: int | None = None
    process_id: int | None = None
    secret_file: Path | None = None
    join_timeout: float | None = None


def build_parser(preset: RunConfig, doc: str, prog: str) -> Parser:
    """The parser of a training command.

    Args:
      preset: gives the defaults.
      doc: what --help says first.
      prog: the command as a user types it.
    """
    run = f"runs/{folder_name(preset.data.dataset)}/RUN"
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
    _add_processes(parser)
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
        "--config",
        type=to_path,
        metavar="FILE",
        help="settings of another run, its config.json; flags change them",
    )
    add_protocol(group, preset.data.dataset)
    group.add_argument(
        "--losses",
        type=Number(int, COUNTS),
        metavar="N",
        help="print the loss of each of the first N steps, for comparison with another program",
    )
    group.add_argument(
        "--tensorboard",
        action="store_true",
        help="write event files too; needs jaxode[tensorboard]",
    )
    group.add_argument(
        "--wandb",
        type=nonempty,
        metavar="PROJECT",
        help="log to a project of Weights & Biases too, offline with WANDB_MODE=offline; needs"
        " jaxode[wandb]",
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


def _add_processes(parser: Parser) -> None:
    group = parser.add_argument_group(
        "several processes", "each started with the same flags; found out under SLURM"
    )
    group.add_argument(
        "--coordinator",
        type=address,
        metavar="HOST:PORT",
        help="where process 0 runs, and a free port there",
    )
    group.add_argument(
        "--processes", type=Number(int, PROCESSES), metavar="N", help="how many processes there are"
    )
    number = Number(int, Range(0, PROCESSES.at_most - 1))
    group.add_argument(
        "--process-id", type=number, metavar="N", help="which of them this is, from 0"
    )
    where = (
        "where process 0 writes the secret for the others (default: in ~/.cache; or set"
        " JAXODE_SECRET)"
    )
    group.add_argument("--secret-file", type=to_path, metavar="FILE", help=where)
    late = "how long to wait for all processes to be ready (default: 60)"
    group.add_argument(
        "--join-timeout", type=Number(float, JOIN_SECONDS), metavar="SECONDS", help=late
    )


def parse(parser: Parser, argv: list[str]) -> Request:
    """The request in the arguments.

    Exits with code 2 and one line on a mistake, with 0 after --help.
    """
    values = parse_flags(parser, argv)
    own = {
        spec.name: values.pop(spec.name)
        for spec in dataclasses.fields(Request)
        if spec.name in values
    }
    if "out" in own and "resume" in own:
        parser.error("give --resume or --out, not both: a resumed run stays in its directory")
    if "config" in own and "resume" in own:
        parser.error("give --resume or --config, not both: a resumed run has its own settings")
    for other in ("resume", "config"):
        if "protocol" in own and other in own:
            parser.error(f"give --{other} or --protocol, not both: each decides all settings")
    return Request(settings=values, **own)


def read_preset(path: Path, preset: RunConfig) -> RunConfig:
    """Settings from a `config.json`, for a command on the same data set.

    Raises ConfigError if the file is none, or of another data set.
    """
    try:
        config = RunConfig.from_json(migrated(read_object(path)))
    except OSError as error:
        raise ConfigError(f"--config {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"--config {one_line(error)}") from error
    if config.data.dataset != preset.data.dataset:
        raise ConfigError(
            f"--config must be of a run on {preset.data.dataset}, and {path} is on"
            f" {config.data.dataset}"
        )
    config = config.replaced(extended_from=())  # what happened to that run, not to this one
    return config.replaced(data="auto") if config.data.data == "full" else config


def with_settings(
    preset: RunConfig, settings: dict[str, Any], protocol: str | None = None
) -> RunConfig:
    """The preset, or a protocol in its place, with the settings that were given.

    Raises ConfigError, which names a flag.
    """
    try:
        own = preset if protocol is None else with_protocol(protocol, preset)
        return own.replaced(**settings)
    except ConfigError as error:
        raise error_with_flag(error, {**settings, "protocol": protocol}) from None


def without_effect(
    config: RunConfig, settings: dict[str, Any], *, unsplit: bool = False
) -> list[str]:
    """Flags that were given and have no effect on this model, optimiser or data set.

    Args:
      config: all settings.
      settings: those that were given.
      unsplit: whether the data set comes without a test split.
    """
    idle: set[str] = set() if unsplit else {"test_share", "split_seed"}
    if not config.model.ode_blocks:
        idle |= {"augment_dims", *(spec.name for spec in dataclasses.fields(SolveConfig))}
    facts = config.model.facts
    idle |= {"width", "augment_dims", "kernels"} - facts.uses
    if config.optim.schedule != "milestones":
        idle.add("milestones")
    if not facts.convolutional and config.precision in CONVOLUTIONS_ONLY:
        idle.add("precision")
    if facts.single_band:
        idle.add("angle")
    if not config.solve.gradient_facts.taped:
        idle.add("tape_steps")
    if config.optim.optimizer != "sgd":
        idle.add("momentum")
    return [flag_of(name) for name in settings if name in idle]
