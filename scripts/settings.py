"""The experiments' settings as flags of a script that has a flag for the data set."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from typing import Any

from experiments.arguments import Parser, add_settings, configured, in_flags
from experiments.converters import Choice
from jaxode.checks import ConfigError
from jaxode.config import DataConfig, ModelConfig, RunConfig
from jaxode.data import dataset_names


def settings_parser(prog: str, usage: str, doc: str) -> Parser:
    """A parser with --dataset and a flag for every setting.

    What is not given is left out of its result.
    """
    parser = Parser.of(prog, doc, usage=f"%(prog)s {usage}", argument_default=argparse.SUPPRESS)
    names = dataset_names()
    parser.add_argument(
        "--dataset", type=Choice(names), metavar="NAME", help=f"{', '.join(names)} (default: mnist)"
    )
    add_settings(parser, preset("mnist"))
    return parser


def preset(dataset: str) -> RunConfig:
    """Defaults of the experiment on this data set; of a data set without one, the usual ones."""
    if importlib.util.find_spec(f"experiments.{dataset}") is None:
        return RunConfig(data=DataConfig(dataset))
    return importlib.import_module(f"experiments.{dataset}").PRESET


def settings(values: dict[str, Any]) -> RunConfig:
    """The run's settings from what is given. Raises ConfigError."""
    return configured(
        preset(values.get("dataset", "mnist")), {k: v for k, v in values.items() if k != "dataset"}
    )


def require_width(width: int) -> None:
    """Raise ConfigError naming --width unless a model can be so wide."""
    try:
        ModelConfig(width=width)
    except ConfigError as error:
        raise in_flags(error, {"width": width}) from None
