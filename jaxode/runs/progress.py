"""Progress: a bar on a terminal or in a notebook, one line for each epoch elsewhere."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from tqdm import tqdm

from jaxode.strict_json import JsonObject

logger = logging.getLogger(__name__)


def epoch_line(
    record: JsonObject, epochs: int, numbers: Sequence[str], examples: str = "examples"
) -> str:
    """One line for one epoch's metrics, with the task's texts of its own numbers.

    Solves of training and of the evaluation differ, so each count says whose.

    Args:
        record: the epoch's metrics.
        epochs: of the run.
        numbers: texts of the task's own numbers.
        examples: what the task calls them.
    """
    parts = [
        f"epoch {record['epoch']}/{epochs}",
        f"loss {record['loss']:.4f}",
        *numbers,
    ]
    if record["nfe_forward"] is not None:
        back = record.get("nfe_backward")
        backward = "" if back is None else f" backward {back:.1f}"
        parts.append(
            f"nfe train {record['nfe_forward_train']:.1f}{backward}"
            f" test {record['nfe_forward']:.1f}"
        )
        parts.append(f"steps train {record['accepted']:.1f}+{record['rejected']:.1f}")
    parts.append(f"lr {record['lr']:.3g}")
    parts.append(f"{record['images_per_second']:.0f} {examples}/s")
    parts.append(f"{record['train_seconds']:.1f} s + {record['eval_seconds']:.1f} s evaluation")
    return "  ".join(parts)


def first_step_line(
    loss: float, nfe: Sequence[float], accepted: Sequence[float], rejected: Sequence[float]
) -> str:
    """The costs of the first step of a run, block by block, in torch_ref.train's words.

    Args:
        loss: mean over the batch.
        nfe: function evaluations of each block.
        accepted: steps of each block.
        rejected: steps of each block.
    """
    solves = [
        f"{evaluations:g} function evaluations a forward solve ({good:g} accepted and {bad:g}"
        " rejected steps)"
        for evaluations, good, bad in zip(nfe, accepted, rejected, strict=True)
    ]
    if len(solves) > 1:
        solves = [f"block {number}: {text}" for number, text in enumerate(solves, 1)]
    return f"first step: {', '.join([*solves, f'loss {loss:.4f}'])}"


def in_notebook() -> bool:
    """Whether this is the kernel of a Jupyter notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", {})


def bar_class() -> Any:
    """Tqdm's bar: a widget in a notebook that has ipywidgets, else text that is drawn over."""
    if in_notebook() and importlib.util.find_spec("ipywidgets"):
        from tqdm.notebook import tqdm as widget

        return widget
    return tqdm


class Progress:
    """What is shown of a run: a bar on a terminal or in a notebook, and a line an epoch.

    Args:
        quiet: show nothing but warnings.
        stream: where; by default stdout in a notebook, where stderr is red, and else stderr.

    Example:
        >>> import sys
        >>> from jaxode.runs import Progress
        >>> progress = Progress(stream=sys.stdout)
        >>> progress.begin("epoch 1/4", total=100)  # no bar, for this is no terminal
        >>> progress.say("epoch 1/4  loss 0.5")
        epoch 1/4  loss 0.5
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.notebook = in_notebook()
        usual = sys.stdout if self.notebook else sys.stderr
        # A process without a stderr (2>&-) has None.
        self.stream = stream or usual or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        self.quiet = quiet
        self.bar: tqdm | None = None

    def warn(self, text: str) -> None:
        """Print a line, above the bar if there is one, even when quiet."""
        tqdm.write(text, file=self.stream)
        self.stream.flush()

    def say(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            self.warn(text)

    def begin(self, title: str, total: int, done: int = 0) -> None:
        """Show a new bar on a terminal or in a notebook.

        Args:
            title: of the bar.
            total: number of batches.
            done: how many of them are done.
        """
        self.end()
        shown = not self.quiet and (self.notebook or self.stream.isatty())
        self.bar = bar_class()(
            desc=title,
            total=total,
            initial=done,
            unit="batch",
            leave=False,
            file=self.stream,
            disable=not shown,
        )

    def advance(self, batches: int, **values: str) -> None:
        """Move the bar.

        Args:
            batches: how many have been done since.
            values: texts to be shown beside the bar.
        """
        if self.bar is not None:
            self.bar.set_postfix(values, refresh=False)
            self.bar.update(batches)

    def end(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class LoggedProgress(Progress):
    """Progress for a program that uses the library: lines go to the logger, and there is no bar."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def warn(self, text: str) -> None:
        """Log a warning."""
        logger.warning(text)

    def say(self, text: str) -> None:
        """Log a line of information."""
        logger.info(text)


def usual_progress() -> Progress:
    """What a program that uses the library shows unless it asks for something else.

    A bar in a notebook, and where Python is used interactively on a terminal; else the logger's.
    """
    interactive = hasattr(sys, "ps1") and sys.stderr is not None and sys.stderr.isatty()
    return Progress() if in_notebook() or interactive else LoggedProgress()
