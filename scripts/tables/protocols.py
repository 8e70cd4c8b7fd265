"""The protocols that a table can be run by, and the settings and the name of each run."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from jaxode.config import RunConfig
from jaxode.train import FREE
from scripts.settings import preset
from scripts.tables.rows import Row, Table

Scale = Literal["full", "cpu", "smoke"]

SMOKE = {"data": "sample", "epochs": 1, "limit_train": 256, "limit_test": 128}


def scaled(table: Table, scale: Scale) -> dict[str, Any]:
    """What a protocol changes of the published one."""
    match scale:
        case "full":
            return {"data": "full"}
        case "cpu":
            return {"data": "full", "epochs": table.cpu_epochs}
        case "smoke":
            return dict(SMOKE)


def says(table: Table, scale: Scale) -> str:
    """The protocol in words."""
    published = published_epochs(table)
    match scale:
        case "full":
            return f"The published protocol, {published} epochs."
        case "cpu":
            return f"Protocol `cpu`, NOT the published one: {table.cpu_epochs} epochs instead of {published}."
        case "smoke":
            return (
                f"Protocol `smoke`, NOT the published one: {SMOKE['epochs']} epoch of {SMOKE['limit_train']} images of"
                f" the bundled sample instead of {published} epochs; it shows that everything runs, and no accuracy."
            )


def published_epochs(table: Table) -> int:
    """Epochs of the published protocol."""
    return table.settings.get("epochs", preset(table.dataset).epochs)


def settings(table: Table, row: Row, scale: Scale, seed: int = 0) -> RunConfig:
    """Settings of the run of a row."""
    changes = {**table.settings, **row.settings, **scaled(table, scale)}
    return preset(table.dataset).replaced(**changes, seed=seed)


def identity(config: RunConfig) -> str:
    """What a run computes, whatever its seed: equal for rows of several tables that are the same run.

    Only what differs from the defaults counts, so that a new setting changes no identity.
    """
    usual = RunConfig().flat()
    own = {name: value for name, value in config.flat().items() if value != usual[name] and name not in (*FREE, "seed")}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def run_name(config: RunConfig) -> str:
    """Name of the directory of a run."""
    model = config.model.model + (f"{config.model.blocks}" if config.model.blocks else "")
    solve = f"-{config.solve.gradient}-{config.solve.rtol:g}" if config.model.model == "odenet" else ""
    start = f"{config.data.dataset}-{model}{solve}-{config.optim.optimizer}-{config.epochs}-epochs"
    return f"{start}-{identity(config)[:8]}-seed{config.seed}"
