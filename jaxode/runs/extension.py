"""More epochs for a run: what they do to its schedule, and how that is recorded.

A schedule that depends on the number of epochs is from then on that of the new number. The epochs
that are done had the rates of the old one, so the run is no run of either number, and its settings
say so (`extended_from`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxode.config import Extension, RunConfig
from jaxode.errors import ResumeError
from jaxode.runs.history import History

Rates = Callable[[], Sequence[tuple[float, float]]]
"""Returns the learning rates of the first and last step of each epoch."""

FREE_OF_EPOCHS = ("constant", "milestones")
"""Schedules whose rates do not depend on the number of epochs: more of them change nothing."""

MOST_SHOWN = 4
"""Rates in a line; of more, the first and the last."""


def with_epochs(directory: Path, config: RunConfig, epochs: int, done: int) -> RunConfig:
    """The settings of a run that is to have another number of epochs.

    Args:
        directory: of the run, for messages.
        config: its settings.
        epochs: how many it is to have.
        done: epochs that are done.

    Raises:
        ResumeError: they are fewer, and the learning rates of those done depend on their number.
    """
    if epochs == config.epochs:
        return config
    if config.optim.schedule in FREE_OF_EPOCHS:
        return config.replaced(epochs=epochs)
    if epochs < config.epochs:
        raise ResumeError(
            f"{directory} is another run: epochs (run has {config.epochs}, requested {epochs}; the"
            f" {config.optim.schedule} schedule allows more, not fewer)"
        )
    if done == 0:  # no epoch had the rates of the old number
        return config.replaced(epochs=epochs)
    known = (*config.extended_from, Extension(config.epochs, done))
    return config.replaced(epochs=epochs, extended_from=known)


def extends(own: RunConfig, new: RunConfig) -> bool:
    """Whether settings are those of a run with more epochs, and record it.

    Args:
        own: the settings of a checkpoint.
        new: settings of the run.
    """
    known, count = new.extended_from, len(own.extended_from)
    if own.extended_from != known[:count]:
        return False
    return own.epochs == (known[count].epochs if len(known) > count else new.epochs)


def extension_text(config: RunConfig, history: History, rates: Rates) -> str | None:
    """One line on what an extension does to the learning rate, when it begins.

    Args:
        config: the settings, with the new number of epochs.
        history: of the epochs that are done.
        rates: of all epochs.

    Returns:
        The line; None for a run that is not extended, or past the first of its new epochs.
    """
    done = len(history)
    if not config.extended_from or config.extended_from[-1].after != done:
        return None
    before, optim = config.extended_from[-1], config.optim
    return (
        f"extended from {before.epochs} to {config.epochs} epochs after epoch {done}: the"
        f" {optim.schedule} schedule is now that of {config.epochs} epochs; the learning rate was"
        f" {history[-1]['lr']:.3g}, and is {_rates_text(rates()[done:], done + 1)}. config.json and"
        " result.json record it, for the run follows neither protocol"
    )


def _rates_text(rates: Sequence[tuple[float, float]], first: int) -> str:
    """The rates of epochs as text: those of a few steps, or where a falling one begins and ends."""
    pieces: list[tuple[float, int]] = []
    for epoch, (begin, end) in enumerate(rates, first):
        for rate in (begin, end):
            if not pieces or pieces[-1][0] != rate:
                pieces.append((rate, epoch))
    if len(pieces) <= MOST_SHOWN:
        return ", ".join(f"{rate:.3g} from epoch {epoch}" for rate, epoch in pieces)
    last = first + len(rates) - 1
    return f"{rates[0][0]:.3g} in epoch {first}, falling to {rates[-1][1]:.3g} in epoch {last}"


def recorded(config: RunConfig) -> list[dict[str, int]]:
    """The extensions as JSON values, for a result."""
    return [dataclasses.asdict(each) for each in config.extended_from]
