"""From the flags of density estimation to the settings of a run."""

from __future__ import annotations

from experiments.densities.config import PLANE, DensityConfig
from jaxode.config import DataConfig, OptimConfig, RunConfig, SolveConfig


def run_config(config: DensityConfig) -> RunConfig:
    """Settings of solve, data, optimizer and length. Raises ConfigError."""
    solve = SolveConfig(
        config.solver,
        rtol=config.rtol,
        atol=config.atol,
        gradient=config.gradient,  # type: ignore[arg-type]
        stepping=config.stepping,
        regularise=config.regularise,
    )
    return RunConfig(
        solve=solve,
        data=DataConfig(feed="streamed" if config.target in PLANE else "auto"),
        optim=OptimConfig(
            "adam", lr=config.lr, weight_decay=config.weight_decay, schedule=config.schedule
        ),
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        train_evaluation="last",
    )
