"""Settings of models of time series: each is one of its flags. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jaxode.checks import SEEDS, Range, require
from jaxode.config import RATES, TOLERANCES, check_fields, setting
from jaxode.config.gradients import GRADIENT_FACTS
from jaxode.config.solvers import SOLVER_FACTS

NAMED = ("spirals", "physionet", "characters", "vowels")
SIZES = Range(1, 4096)

DEFAULTS: dict[str, dict[str, Any]] = {
    "spirals": {
        "model": "latent_ode", "encoder": "masked_rnn", "hidden": 25, "latent": 4, "units": 20,
        "lr": 0.01, "batch_size": 100, "epochs": 200,
    },
    "physionet": {
        "model": "latent_ode", "encoder": "ode_rnn", "hidden": 40, "latent": 20, "units": 50,
        "layers": 4, "lr": 0.01, "batch_size": 50, "epochs": 30,
    },
    "characters": {"model": "neural_cde", "hidden": 32, "units": 32, "layers": 3},
    "vowels": {"model": "neural_cde", "hidden": 32, "units": 32, "layers": 3},
}  # fmt: skip
"""Settings of the sources where they are not the flag's default: Chen et al. 2018 and torchdiffeq's
latent_ode.py; Rubanova et al. 2019; Kidger et al. 2020."""


@dataclass(frozen=True)
class SeriesConfig:
    """What is trained on what. Raises ConfigError on values outside the stated ranges."""

    data: str = setting("spirals", f"{', '.join(NAMED)}, or the path of a folder")
    data_dir: str | None = setting(None, "folder of the files of a named data set", path=True)
    observed: int = setting(100, "observations of each spiral, of 100", Range(2, 100))
    drop: float = setting(0.0, "part of each series' points that is left out", Range(0, 0.9))
    quantisation: float = setting(
        0.1, "hours, to which PhysioNet's times are rounded", Range(0.001, 48)
    )
    model: Literal["latent_ode", "rnn", "ode_rnn", "neural_cde", "gru_d", "rnn_delta"] | None = (
        setting(
            None,
            "default: latent_ode for spirals and physionet, else neural_cde; rnn, for spirals,"
            " predicts next values",
        )
    )
    encoder: Literal["rnn", "masked_rnn", "ode_rnn"] | None = setting(
        None, "of a latent ODE: rnn reads values alone, masked_rnn mask and gaps too"
    )
    hidden: int | None = setting(None, "numbers of the state, or of the encoder's", SIZES)
    latent: int | None = setting(None, "numbers of a latent ODE's z", SIZES)
    units: int | None = setting(None, "units of hidden layers", SIZES)
    layers: int | None = setting(None, "hidden layers of fields (default: 2 to 4)", Range(1, 20))
    seed: int = setting(0, "seed of parameters, order, noise, and what is drawn of data", SEEDS)
    epochs: int | None = setting(None, "passes over the training series", Range(1, 10**6))
    batch_size: int | None = setting(None, "series in a step", Range(1, 1 << 20))
    lr: float | None = setting(None, "learning rate of Adam", RATES)
    weight_decay: float = setting(0.0, "L2 penalty", RATES._replace(at_least=0))
    schedule: Literal["constant", "cosine"] = setting("cosine", "of the learning rate")
    patience: int = setting(
        0, "end after so many epochs without a better one (0: never)", Range(0, 10**6)
    )
    label_weight: float = setting(100.0, "of the log-loss of PhysioNet's deaths", Range(1e-6, 1e6))
    solver: str | None = setting(
        None, "Runge-Kutta method (default: dopri5; rk4 of neural_cde, euler of ode_rnn)",
        choices=SOLVER_FACTS,
    )  # fmt: skip
    rtol: float = setting(1e-3, "relative tolerance of a step", TOLERANCES)
    atol: float = setting(1e-4, "absolute tolerance of a step", TOLERANCES)
    step_size: float | None = setting(
        None, "part of the time between two observations (default: 1 of rk4 and euler)",
        Range(1e-3, 1),
    )  # fmt: skip
    gradient: str | None = setting(None, "gradient mode (default: tape)", choices=GRADIENT_FACTS)
    resume: bool = setting(False, "go on with the run in --out, with the same settings")

    def __post_init__(self) -> None:
        check_fields(self)
        needed = self.data in ("physionet", "characters", "vowels")
        given = self.data_dir is not None or not needed
        require(given, "data_dir", self.data_dir, f"given for data {self.data}")
        models = {"spirals": ("latent_ode", "rnn"), "physionet": ("latent_ode",)}
        latent = self.chosen("model") == "latent_ode"
        allowed = "left out for latent_ode, each of whose series has times of its own"
        require(not (latent and self.step_size is not None), "step_size", self.step_size, allowed)
        others = ("ode_rnn", "neural_cde", "gru_d", "rnn_delta")
        allowed = models.get(self.data, others)
        fits = self.chosen("model") in allowed
        require(fits, "model", self.chosen("model"), f"{' or '.join(allowed)} for {self.data}")

    def chosen(self, name: str) -> Any:
        """A setting, or what is usual for the data where it was left out."""
        value = getattr(self, name)
        if value is not None:
            return value
        usual: dict[str, Any] = {
            "model": "neural_cde", "encoder": "rnn", "hidden": 32, "latent": 4, "units": 32,
            "layers": 2, "lr": 1e-3, "batch_size": 32, "epochs": 100,
        }  # fmt: skip
        return (usual | DEFAULTS.get(self.data, {}))[name]
