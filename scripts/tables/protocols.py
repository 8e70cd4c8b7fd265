"""The protocols that a table can be run by, and the settings and the name of each run."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from jaxode.config import RunConfig, preset
from jaxode.data import SPECS
from jaxode.runs import RESUMABLE_SETTINGS
from scripts.tables.table import Row, Table

Scale = Literal["full", "cpu", "smoke"]

SMOKE = {"data": "sample", "epochs": 1, "limit_train": 256, "limit_test": 128}


def scaled(table: Table, row: Row, scale: Scale) -> dict[str, Any]:
    """The settings in which a protocol differs from the published one."""
    match scale:
        case "full":
            return {"data": "full"}
        case "cpu":
            count = row.cpu_epochs or table.cpu_epochs
            return {
                "data": "full",
                "epochs": count,
                "train_evaluation": "last",
                **table.cpu_settings,
            }
        case "smoke":
            return SMOKE | ({} if SPECS[table.dataset].predefined_split else {"data": "full"})


def epochs(table: Table, row: Row, scale: Scale) -> str:
    """A protocol's epochs, and the part of the data set if it is not the whole."""
    if scale == "smoke":
        part = " of the sample" if SPECS[table.dataset].predefined_split else ""
        return f"{SMOKE['epochs']} epoch of {SMOKE['limit_train']} images{part}"
    count = scaled(table, row, scale).get("epochs", published_epochs(table))
    return f"{count} epoch{'s' if count > 1 else ''}"


def published_epochs(table: Table) -> int:
    """Epochs of the published protocol."""
    return table.settings.get("epochs", preset(table.dataset).epochs)


def settings(table: Table, row: Row, scale: Scale, seed: int = 0) -> RunConfig:
    """Settings of the run of a row."""
    schedule = {"schedule": "cosine"} if scale == "cpu" else {}
    changes = {**schedule, **table.settings, **row.settings, **scaled(table, row, scale)}
    return preset(table.dataset).replaced(**changes, seed=seed)


def identity(config: RunConfig) -> str:
    """Hash of a run's settings, its seed and its machine left out.

    Rows of several tables that are the same run share it. Only settings that differ from the
    defaults enter, so that a new setting changes no identity.
    """
    usual = RunConfig().flat()
    own = {
        name: value
        for name, value in config.flat().items()
        if value != usual[name] and name not in (*RESUMABLE_SETTINGS, "seed")
    }
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def run_name(config: RunConfig) -> str:
    """Name of the directory of a run."""
    facts, model, solve = config.model.facts, config.model.name, ""
    if "blocks" in facts.uses:
        model += str(config.model.blocks)
        if facts.solves:
            solve = f"-{config.solve.gradient_facts.name}-{config.solve.rtol:g}"
    start = f"{config.data.dataset}-{model}{solve}-{config.optim.optimizer}-{config.epochs}-epochs"
    return f"{start}-{identity(config)[:8]}-seed{config.seed}"
