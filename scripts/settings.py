"""The experiments' settings as flags of a script that has a flag for the data set."""

from __future__ import annotations

import argparse
from typing import Any

from jaxode.checks import ConfigError
from jaxode.cli.converters import Choice
from jaxode.cli.flags import add_protocol, add_settings, error_with_flag
from jaxode.cli.parser import Parser
from jaxode.cli.request import with_settings
from jaxode.config import ModelConfig, RunConfig, preset
from jaxode.data import dataset_names


def settings_parser(prog: str, usage: str, doc: str) -> Parser:
    """A parser with --dataset, --protocol and a flag for every setting.

    What is not given is left out of its result.
    """
    parser = Parser.from_doc(
        prog, doc, usage=f"%(prog)s {usage}", argument_default=argparse.SUPPRESS
    )
    names = dataset_names()
    parser.add_argument(
        "--dataset", type=Choice(names), metavar="NAME", help=f"{', '.join(names)} (default: mnist)"
    )
    add_protocol(add_settings(parser, preset("mnist"), every=True))
    return parser


def settings(values: dict[str, Any]) -> RunConfig:
    """The run's settings from what is given. Raises ConfigError."""
    given = dict(values)
    dataset, protocol = given.pop("dataset", "mnist"), given.pop("protocol", None)
    return with_settings(preset(dataset), given, protocol)


def require_width(width: int) -> None:
    """Raise ConfigError naming --width unless a model can be so wide."""
    try:
        ModelConfig(width=width)
    except ConfigError as error:
        raise error_with_flag(error, {"width": width}) from None
