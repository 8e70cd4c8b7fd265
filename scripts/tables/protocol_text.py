"""A protocol in words: the settings that all rows of a table share, and those that differ."""

from __future__ import annotations

from jaxode.config import RunConfig
from scripts.tables.protocols import Scale, settings
from scripts.tables.table import Table

SCHEDULES = {
    "constant": "constant",
    "step": "divided by ten after every 0.3 of the epochs",
    "milestones": "divided by ten after the epochs {}",
    "cosine": "falling to zero as a cosine",
}
CROPS = {
    "resize": "trained on windows of the enlarged images",
    "pad": "trained on images shifted by up to 4 pixels",
    "none": "trained on whole images",
}


def facts(config: RunConfig) -> dict[str, str]:
    """The settings of a run in words, by subject, less those that have no effect on it.

    Returns:
      Texts by "optimizer", "rate", "batch", "views", "precision" and, for an ODE, "solve".
    """
    optim, solve, data = config.optim, config.solve, config.data
    momentum = (
        f" with momentum {optim.momentum:g}" if optim.optimizer == "sgd" and optim.momentum else ""
    )
    decay = f", weight decay {optim.weight_decay:g}" if optim.weight_decay else ""
    schedule = SCHEDULES[optim.schedule].format(", ".join(map(str, optim.milestone_epochs)))
    described = {
        "optimizer": f"{'SGD' if optim.optimizer == 'sgd' else 'Adam'}{momentum}{decay}",
        "rate": f"learning rate {config.scaled_optim.lr:g}, {schedule}",
        "batch": f"batches of {config.batch_size}" + (", full ones alone" * data.drop_last),
        "views": (
            CROPS[data.crop]
            + (f", augmented by `{data.augment}`" if data.augment != "none" else "")
            + (", pixels from 0 to 1" if data.pixels == "unit" else "")
        ),
        "precision": (
            "float32" if config.precision == "float32" else f"convolutions in {config.precision}"
        ),
    }
    if config.model.ode_blocks:
        described["solve"] = (
            f"{solve.solver} at a tolerance of {solve.rtol:g}, stepping as {solve.stepping}"
        )
    return described


def parts(table: Table, scale: Scale) -> dict[str, str]:
    """The facts of all rows of a table; where rows differ, with the labels of each."""
    rows = {row.label: facts(settings(table, row, scale)) for row in table.rows}
    found = {}
    for name in dict.fromkeys(name for described in rows.values() for name in described):
        labels: dict[str, list[str]] = {}
        for label, described in rows.items():
            if name in described:
                labels.setdefault(described[name], []).append(label)
        one = len(labels) == 1
        found[name] = "; ".join(
            text if one else f"{text} ({', '.join(those)})" for text, those in labels.items()
        )
    return found


def protocols(table: Table) -> list[str]:
    """A line for the published protocol, and one for what is different in the smaller one."""
    full, cpu = parts(table, "full"), parts(table, "cpu")
    changed = [text for name, text in cpu.items() if text != full[name]]
    return [
        f"- `full`: {'; '.join(full.values())}.",
        (
            f"- `cpu`: {'; '.join(changed)}; all else but the epochs is the same."
            if changed
            else "- `cpu`: the same but for the epochs."
        ),
    ]
