"""Whether settings or a checkpoint are of the same run: the one place that decides it."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxode.config import RunConfig
from jaxode.config.migration import migrated, stored
from jaxode.errors import ResumeError
from jaxode.runs import history
from jaxode.runs.checkpoint import Checkpoint
from jaxode.runs.checkpoint_folder import META
from jaxode.runs.extension import FREE_OF_EPOCHS, extends
from jaxode.runs.origins import checked_origins
from jaxode.runs.summary import CLOCK
from jaxode.strict_json import JsonObject, need

RESUMABLE_SETTINGS = ("data_dir", "feed", "max_steps", "devices", "kernels")
"""Settings that decide where data lie, when to give up or on what a step is computed, never what a
step is meant to compute.
"""


def differences(config: RunConfig, request: Mapping[str, object]) -> list[str]:
    """Each setting of a request that contradicts a run, as "name (run has X, requested Y)".

    Args:
        config: the run's settings.
        request: settings by name, a part of them or all.
    """
    own = config.flat()
    wrong = []
    for name, value in request.items():
        undecided = name == "data" and value == "auto"
        if own[name] != value and name not in RESUMABLE_SETTINGS and not undecided:
            wrong.append(f"{name} (run has {own[name]}, requested {value})")
    return wrong


def identity_of(config: RunConfig, fingerprint: str) -> JsonObject:
    """What a checkpoint stores of the identity of its run, as JSON values.

    Args:
        config: the run's settings.
        fingerprint: of the run's data.
    """
    return {"config": stored(config.to_json()), "fingerprint": fingerprint}


def check_identity(
    checkpoint: Checkpoint,
    config: RunConfig,
    fingerprint: str,
    template: PyTree,
    monitor: str,
    where: object,
) -> None:
    """Check that a checkpoint is one of this run.

    Args:
        checkpoint: as it was read.
        config: the run's settings.
        fingerprint: of the run's data.
        template: the state of a run that has not begun.
        monitor: name of the number that every epoch has.
        where: the checkpoint's path, for messages.

    Raises:
        ResumeError: the checkpoint is damaged, or of other settings, other data, more epochs or
            another model.
    """
    meta, name = checkpoint.meta, checkpoint.name
    try:
        own = _settings(meta, config, monitor)
    except ValueError as error:
        raise ResumeError(f"{where} is damaged: {error}") from error
    request = config.flat()
    if own.optim.schedule in FREE_OF_EPOCHS or extends(own, config):
        del request["epochs"], request["extended_from"]
    wrong = differences(own, request)
    if wrong:
        raise ResumeError(
            f"checkpoint {name} is of other settings than config.json: {', '.join(wrong)}"
        )
    if meta["fingerprint"] != fingerprint:
        raise ResumeError("the images are not those of the run: their fingerprints differ")
    done = len(meta["history"])
    if done > config.epochs:
        raise ResumeError(f"the run already has {done} epochs, requested {config.epochs}")
    if jax.tree.map(jnp.shape, checkpoint.state) != jax.tree.map(jnp.shape, template):
        raise ResumeError(
            f"checkpoint {name} is of another model than config.json: its shapes differ"
        )


def _settings(meta: JsonObject, config: RunConfig, monitor: str) -> RunConfig:
    """The settings in a checkpoint's meta data, all of which are checked. Raises ValueError."""
    values = migrated(need(meta, "config", dict, META))
    own = RunConfig.from_json(values, config.model.model)
    need(meta, "fingerprint", str, META)
    clock = need(meta, "clock", dict, META)
    for name in CLOCK:
        need(clock, name, float, f"{META}: clock")
    checked_origins(meta.get("origins", []), META)
    history.check(meta["history"], "history", monitor)
    return own
