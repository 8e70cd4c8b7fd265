"""What a history of epochs comes to: the best epoch, and the metrics of a result."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from jaxode.tasks import Task

CLOCK = ("train_seconds", "eval_seconds", "compile_seconds")
"""What the time of a run goes into."""

TIMINGS = ("images_per_second", *CLOCK)
"""The only fields of a metrics line that two runs of the same settings on the same CPU need not
share.
"""

SOLVER_METRICS = ("nfe_forward", "nfe_per_block", "accepted", "rejected", "skipped_steps")
"""What a result tells of the last epoch beside the task's own numbers."""


def best_epoch(task: Task, history: list[dict[str, Any]]) -> dict[str, Any]:
    """The record whose monitored metric is best, the first of equal ones; empty without epochs."""
    pick = max if task.mode == "max" else min
    return pick(history, key=lambda record: record[task.monitor], default={})


def summary(task: Task, history: list[dict[str, Any]]) -> dict[str, Any]:
    """A result's metrics: of the last epoch, of the best one, and seconds of all of them."""
    last = history[-1] if history else {}
    best = best_epoch(task, history)
    seconds = sum(record["train_seconds"] for record in history)
    images = sum(record["images_per_second"] * record["train_seconds"] for record in history)
    return {
        "epochs": len(history),
        **{name: last.get(name) for name in (*task.headline(), *SOLVER_METRICS)},
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
