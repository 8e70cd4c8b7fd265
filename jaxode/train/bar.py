"""What stands beside the bar of an epoch: loss, the task's monitor, NFE, the time left."""

from __future__ import annotations

from tqdm import tqdm

from jaxode.runs.history import History
from jaxode.tasks import Task
from jaxode.train.epoch_metrics import a_solve, mean_loss
from jaxode.train.state import Totals


def seconds_left(
    steps: int, steps_per_epoch: int, seconds_a_step: float | None, history: History
) -> float | None:
    """An estimate of the time to the end of a run.

    Args:
        steps: training steps that are left.
        steps_per_epoch: training steps of an epoch.
        seconds_a_step: of the last compiled call; None before one.
        history: of the epochs that are done, whose evaluations say how long the next take. During
            the first epoch that is not known, and left out.

    Returns:
        Seconds; None where nothing was measured.
    """
    if seconds_a_step is None:
        return None
    epochs = -(-steps // steps_per_epoch) or 1
    evaluation = history[-1]["eval_seconds"] if history else 0.0
    return steps * seconds_a_step + epochs * evaluation


def bar_values(
    task: Task, totals: Totals, history: History, seconds: float | None
) -> dict[str, str]:
    """Texts for a bar, by name.

    Args:
        task: names the monitored number.
        totals: of the epoch's steps so far.
        history: of the epochs that are done, the last of which gives the monitored number.
        seconds: left.
    """
    values = {"loss": f"{mean_loss(totals):.3f}"}
    if history and history[-1].get(task.monitor) is not None:
        values[task.monitor] = f"{history[-1][task.monitor]:.4g}"
    nfe = a_solve(totals, "nfe")
    if nfe is not None:
        values["nfe"] = f"{nfe:.1f}"
    if seconds is not None:
        values["run_left"] = tqdm.format_interval(seconds)
    return values
