"""The summary of a history: the best epoch, and the metrics of a result."""

from __future__ import annotations

from statistics import fmean

from jaxode.config import RunConfig
from jaxode.config.model import STEM_DEFAULTS
from jaxode.data import has_predefined_split
from jaxode.runs.extension import recorded
from jaxode.runs.history import History
from jaxode.strict_json import JsonObject
from jaxode.tasks import Task

RESULT = "result.json"

CLOCK: tuple[str, ...] = ("train_seconds", "eval_seconds", "compile_seconds")
"""Parts of the time of a run."""

TIMINGS = ("images_per_second", *CLOCK)
"""The only fields of a metrics line that two runs of the same settings on the same CPU need not
share.
"""

SOLVE_SETTINGS = (
    "solver",
    "gradient",
    "rtol",
    "atol",
    "step_size",
    "backward_rtol",
    "backward_atol",
    "backward_norm",
    "stepping",
    "max_steps",
    "per_sample",
)
"""Of a result."""

SOLVER_METRICS = ("nfe_forward", "nfe_per_block", "accepted", "rejected", "skipped_steps")
"""Numbers of the last epoch in a result, beside the task's own."""

BACKWARD_METRICS = ("nfe_backward", "accepted_backward", "rejected_backward")
"""Likewise, of backward solves, where the epoch has them."""


def best_epoch(task: Task, history: History) -> JsonObject:
    """The line of the epoch whose monitored number is best, the first of equal ones.

    Args:
        task: names the monitored number, and whether it is to be large.
        history: a line for each epoch.

    Returns:
        The line; empty without epochs.
    """
    pick = max if task.mode == "max" else min
    return pick(history, key=lambda record: record[task.monitor], default={})


def summary(task: Task, history: History) -> JsonObject:
    """A result's metrics: of the last epoch, of the best one, and seconds of all of them.

    Args:
        task: names the numbers.
        history: a line for each epoch.
    """
    last = history[-1] if history else {}
    best = best_epoch(task, history)
    seconds = sum(record["train_seconds"] for record in history)
    images = sum(record["images_per_second"] * record["train_seconds"] for record in history)
    return {
        "epochs": len(history),
        **{name: last.get(name) for name in (*task.headline(), *SOLVER_METRICS)},
        **{name: last[name] for name in BACKWARD_METRICS if name in last},
        "best_epoch": best.get("epoch"),
        f"best_{task.monitor}": best.get(task.monitor),
        "train_seconds_per_epoch": fmean(r["train_seconds"] for r in history) if history else None,
        "eval_seconds_per_epoch": fmean(r["eval_seconds"] for r in history) if history else None,
        "compile_seconds": (
            sum(record["compile_seconds"] for record in history) if history else None
        ),
        "images_per_second": images / seconds if seconds else None,
        "wall_seconds": sum(record[name] for record in history for name in CLOCK),
    }


def settings_of_result(config: RunConfig) -> JsonObject:
    """The settings that a reader of a result needs.

    Those of the solver are None for models that solve nothing.

    Args:
        config: the settings of the run.
    """
    solves = config.model.ode_blocks > 0
    solve = {name: getattr(config.solve, name) if solves else None for name in SOLVE_SETTINGS}
    return {
        "dataset": config.data.dataset,
        "data": config.data.data,
        "crop": config.data.crop,
        "pixels": config.data.pixels,
        "drop_last": config.data.drop_last,
        "augment": list(config.data.augmentations),
        "split_seed": (
            None if has_predefined_split(config.data.dataset) else config.data.split_seed
        ),
        "model": config.model.name,
        "blocks": config.model.blocks,
        "width": config.model.width if "width" in config.model.facts.uses else None,
        **{
            name: getattr(config.model, name) if name in config.model.facts.uses else None
            for name in STEM_DEFAULTS
        },
        "augment_dims": config.model.augment_dims if solves else None,
        **solve,
        **({"regularise": config.solve.regularise} if solves and config.solve.regularise else {}),
        "optimizer": config.optim.optimizer,
        "lr": config.optim.lr,
        "momentum": config.optim.momentum if config.optim.optimizer == "sgd" else None,
        "weight_decay": config.optim.weight_decay,
        "schedule": config.optim.schedule,
        "milestones": (
            list(config.optim.milestone_epochs) if config.optim.schedule == "milestones" else None
        ),
        "lr_batch": config.optim.lr_batch,
        "batch_size": config.batch_size,
        "eval_batch_size": config.evaluation_batch,
        "parallel": config.parallel.parallel,
        "accumulate": config.parallel.accumulate,
        "precision": config.precision,
        "seed": config.seed,
        "epochs_planned": config.epochs,
        **({"extended_from": recorded(config)} if config.extended_from else {}),
    }
