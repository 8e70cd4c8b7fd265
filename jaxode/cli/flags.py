"""Flags made from the fields of the settings' dataclasses. Imports nothing slow."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Callable, Collection
from typing import Any

from jaxode.checks import ConfigError
from jaxode.cli.converters import Choice, Number, nonempty, path_text
from jaxode.cli.parser import Parser
from jaxode.config import (
    PARTS,
    PROTOCOLS,
    DataConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    RunConfig,
    SolveConfig,
    hints,
)
from jaxode.data import SPECS

GROUPS: dict[str, tuple[type, tuple[str, ...]]] = {
    "model": (ModelConfig, ()),
    "solve": (SolveConfig, ()),
    "data": (DataConfig, ("dataset",)),
    "optimiser": (OptimConfig, ()),
    "devices": (ParallelConfig, ()),
    "run": (RunConfig, (*PARTS, "extended_from")),
}
"""Title of each group of flags, its dataclass, and the fields of it that are no flags."""


def add_protocol(group: Any, dataset: str | None = None) -> None:
    """Add `--protocol`, whose settings take the place of the defaults.

    Args:
      group: gets the flag.
      dataset: without a protocol for it, the flag is not in the help; None for any data set.
    """
    fitting = [p for p in PROTOCOLS.values() if dataset is None or dataset in p.datasets]
    text = "settings of a published program in place of the defaults; flags change them: "
    listed = "; ".join(f"{each.name}: {each.source}" for each in fitting)
    group.add_argument(
        "--protocol",
        type=Choice(tuple(PROTOCOLS)),
        metavar="NAME",
        help=text + listed if fitting else argparse.SUPPRESS,
    )


def add_settings(parser: Parser, preset: RunConfig, *, every: bool = False) -> Any:
    """Add a flag for every setting; returns the group of those of the run.

    Those that mean nothing for the preset's data set are understood, but not in the help.

    Args:
      parser: gets the flags.
      preset: gives the defaults.
      every: show all flags, for a command that has the data set as a flag itself.
    """
    group: Any = None
    spec = SPECS.get(preset.data.dataset)
    hidden = () if spec is None or every else spec.unused_settings
    for title, (settings, left_out) in GROUPS.items():
        group = parser.add_argument_group(title)
        add_fields(group, settings, preset.flat(), left_out, hidden)
    return group


def add_fields(
    group: Any,
    settings: type,
    defaults: dict[str, Any],
    left_out: Collection[str] = (),
    hidden: Collection[str] = (),
) -> None:
    """Add a flag for every field of a dataclass of settings.

    Args:
      group: gets the flags.
      settings: the dataclass.
      defaults: of its fields, for the help.
      left_out: fields that become no flags.
      hidden: fields whose flags are not in the help.
    """
    kinds = hints(settings)
    for spec in dataclasses.fields(settings):
        if spec.name in left_out:
            continue
        kind = kinds[spec.name]
        text = help_text(spec, kind, defaults[spec.name])
        text = argparse.SUPPRESS if spec.name in hidden else text
        flag = flag_of(spec.name)
        if kind is bool:
            group.add_argument(flag, dest=spec.name, action="store_true", help=text)
            continue
        convert, metavar = converter(spec, kind)
        options: dict[str, Any] = {"action": Joined} if spec.metadata["joined"] else {}
        group.add_argument(
            flag, dest=spec.name, type=convert, metavar=metavar, help=text, **options
        )


class Joined(argparse.Action):
    """Joins the values of a flag that is given several times by commas."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add a value."""
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, values if before is None else f"{before},{values}")


def help_text(spec: dataclasses.Field[Any], hint: Any, default: Any) -> str:
    """Help text of a setting: its meaning, its choices, its range and its default."""
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


def converter(spec: dataclasses.Field[Any], kind: Any) -> tuple[Callable[[str], Any], str]:
    """Function that reads a flag's text, and the placeholder for that text in the help."""
    if kind in (int, float):
        return Number(kind, spec.metadata["within"]), "N" if kind is int else "X"
    if spec.metadata["joined"]:
        return nonempty, "NAME=X"
    return (path_text, "DIR") if spec.metadata["path"] else (nonempty, "NAME")


def flag_of(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def error_with_flag(error: ConfigError, settings: dict[str, Any]) -> ConfigError:
    """The error, naming a setting that the command line gave by its flag."""
    name, _, rest = str(error).partition(" ")
    return ConfigError(f"{flag_of(name)} {rest}") if name in settings else error
