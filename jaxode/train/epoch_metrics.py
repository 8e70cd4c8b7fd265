"""The metrics of an epoch."""

from __future__ import annotations

import jax

from jaxode.data.base import VALIDATION
from jaxode.strict_json import JsonObject
from jaxode.tasks import Task
from jaxode.train.state import Totals
from jaxode.train.step import Evaluated


def mean_loss(totals: Totals) -> float:
    """Mean over the images.

    Args:
        totals: of a pass.
    """
    return float(totals.loss) / int(totals.images)


def mean_penalty(totals: Totals) -> float:
    """Mean over the images of what regularisers added to the loss.

    Args:
        totals: of training steps with regularisers.
    """
    return float(totals.penalty) / int(totals.images)  # type: ignore[arg-type]


def a_solve(totals: Totals, name: str) -> float | None:
    """Mean of a count over all solves of all blocks in a pass; None without blocks.

    Args:
        totals: of a pass.
        name: nfe, accepted or rejected.
    """
    counts = by_block(totals, name)
    return sum(counts) / len(counts) if counts else None


def by_block(totals: Totals, name: str) -> list[float]:
    """Mean of a count over the solves of each block.

    Args:
        totals: of a pass.
        name: nfe, accepted or rejected.
    """
    solves = int(totals.solves)
    return [count / solves for count in getattr(totals, name).tolist()]


def backward_metrics(totals: Totals) -> dict[str, float | None]:
    """Means of what a backward solve cost in training steps; empty where none are counted.

    Args:
        totals: of training steps.
    """
    found = totals.backward
    if found is None:
        return {}
    counted = int(found.solves) * found.nfe.shape[0]
    return {
        f"{name}_backward": int(getattr(found, name).sum()) / counted if counted else None
        for name in ("nfe", "accepted", "rejected")
    }


def evaluation_metrics(task: Task, split: str, evaluated: Evaluated) -> dict[str, float]:
    """Loss and the task's numbers of an evaluation, their names beginning with the split's.

    Args:
        task: names its numbers.
        split: train, test or validation.
        evaluated: sums of the evaluation.
    """
    summary = task.summarize(jax.device_get(evaluated.metrics))
    return {
        f"{split}_loss": mean_loss(evaluated.totals),
        **{f"{split}_{name}": value for name, value in summary.items()},
    }


def epoch_metrics(
    task: Task,
    epoch: int,
    lr: float,
    clock: dict[str, float],
    steps: Totals,
    train: Evaluated | None,
    test: Evaluated,
    validation: Evaluated | None,
    skipped: int | None,
) -> JsonObject:
    """Metrics of an epoch (from 1).

    Args:
        task: names the numbers of evaluations.
        epoch: its number.
        lr: the learning rate of its last step.
        clock: seconds of training, evaluation and compilation.
        steps: totals of its training steps.
        train: sums of the evaluation on the training images after it; None if there was none.
        test: the same on the test images.
        validation: the same on the validation images, if there are any.
        skipped: updates left out since the run began because a scaled gradient was not finite; None
          without scaling.
    """
    return {
        "epoch": epoch,
        "loss": mean_loss(steps),
        **({} if steps.penalty is None else {"penalty": mean_penalty(steps)}),
        **evaluation_metrics(task, "test", test),
        **(
            evaluation_metrics(task, "train", train)
            if train
            else dict.fromkeys(evaluation_metrics(task, "train", test))
        ),
        **(evaluation_metrics(task, VALIDATION, validation) if validation else {}),
        "nfe_forward": a_solve(test.totals, "nfe"),
        "nfe_per_block": by_block(test.totals, "nfe") or None,
        "nfe_forward_train": a_solve(steps, "nfe"),
        "accepted": a_solve(steps, "accepted"),
        "rejected": a_solve(steps, "rejected"),
        **backward_metrics(steps),
        "skipped_steps": skipped,
        "lr": float(f"{lr:.6g}"),  # without the noise of float32
        "images_per_second": int(steps.images) / clock["train_seconds"],
        **clock,
    }
