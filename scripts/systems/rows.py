"""The rows of the systems' tables: problems, settings of their runs, published figures.

Figures marked as recalled are of papers whose tables could not be read: see `Figure`.
"""

from __future__ import annotations

from scripts.systems.row import Figure, Settings, SystemRow, SystemTable
from scripts.systems.vision_rows import DEPTH, DETECTION

PLANE = {
    "field": "concatsquash",
    "epochs": 20,
    "steps": 250,
    "batch_size": 256,
    "lr": 5e-3,
    "schedule": "cosine",
    "rtol": 1e-4,
    "atol": 1e-4,
}

STEPS = {
    "8gaussians": {"epochs": 10, "steps": 300},
    "rings": {"steps": 400},
    "checkerboard": {"steps": 400},
}
"""Of the targets that need other numbers of steps than PLANE has."""

FFJORD = {"field": "concatsquash", "epochs": 100, "steps": 100, "batch_size": 100}
"""FFJORD's train_toy.py: 10,000 steps of 100 points, Adam with 1e-3 and decay 1e-5."""

TABLE = {"field": "concatsquash", "validation": 0.1, "patience": 30}
WINE = {
    "hidden": "64,64", "epochs": 300, "batch_size": 128, "lr": 2e-3, "rtol": 1e-3, "atol": 1e-3,
}  # fmt: skip
PATCHES = {
    "hidden": "256,256", "epochs": 20, "batch_size": 1000, "lr": 1e-3, "rtol": 1e-4, "atol": 1e-4,
}  # fmt: skip

RNADE = "Uria et al. 2013"

NAMES = {
    "8gaussians": "eight Gaussians",
    "moons": "two moons",
    "rings": "four rings",
    "checkerboard": "checkerboard",
    "pinwheel": "pinwheel",
}


def _plane(target: str, name: str) -> SystemRow:
    full = {**FFJORD, "weight_decay": 1e-5}
    return SystemRow(name, {"target": target}, {**PLANE, **STEPS.get(target, {})}, full)


def _table(target: str, label: str, folds: int, published: tuple[Figure, ...]) -> SystemRow:
    settings = {**TABLE, **(PATCHES if target == "bsds300" else WINE)}
    return SystemRow(
        label,
        {"target": target},
        settings,
        {**settings, "epochs": 1000},
        {"log_likelihood": published},
        folder="uci_wine" if folds > 1 else "bsds300_patches",
        folds=folds,
    )


DENSITY = SystemTable(
    "density",
    "Densities",
    (
        SystemRow("circles of torchdiffeq's cnf.py", {"target": "circles"}, PLANE, {"epochs": 10}),
        *(_plane(target, name) for target, name in NAMES.items()),
        _table(
            "red_wine",
            "red wine, 11 attributes, 10 folds",
            10,
            (
                Figure("−9.36", f"RNADE, {RNADE}"),
                Figure("−10.19", f"mixture of factor analysers, {RNADE}"),
                Figure("−13.18", f"Gaussian, {RNADE}"),
            ),
        ),
        _table(
            "white_wine",
            "white wine, 11 attributes, 10 folds",
            10,
            (
                Figure("−10.23", f"RNADE, {RNADE}"),
                Figure("−10.73", f"mixture of factor analysers, {RNADE}"),
                Figure("−13.20", f"Gaussian, {RNADE}"),
            ),
        ),
        _table(
            "bsds300",
            "BSDS300, patches of 63 numbers",
            1,
            (
                Figure("157.40", "FFJORD, Grathwohl et al. 2019"),
                Figure("155.69", "MAF, Papamakarios et al. 2017"),
                Figure("96.67 ± 0.25", "Gaussian, Papamakarios et al. 2017"),
            ),
        ),
    ),
)

CHEN, RUBANOVA, KIDGER = "Chen et al. 2018, table 2", "Rubanova et al. 2019", "Kidger et al. 2020"

SPIRALS = {
    30: ("0.1642", "0.3937"),
    50: ("0.1502", "0.3202"),
    100: ("0.1346", "0.1813"),
}
"""By the number of observations: latent ODE and RNN."""


def _spirals(observed: int, model: str) -> SystemRow:
    latent = model == "latent_ode"
    name = "latent ODE" if latent else "RNN"
    figure = Figure(SPIRALS[observed][0 if latent else 1], CHEN)
    # Each spiral is a curve, which three numbers can hold; with six it was extrapolated far worse.
    wide = {"latent": 3, "hidden": 100, "units": 64, "lr": 6e-3, "epochs": 1500}
    cpu = wide if latent else {"epochs": 400}
    return SystemRow(
        f"spirals, {observed} observations: {name}",
        {"data": "spirals", "observed": observed, "model": model},
        cpu,
        {"epochs": 2000, "batch_size": 1000},
        {"rmse": (figure,)},
        ("rmse",),
    )


def _letters(model: str, cpu: Settings, figure: str) -> SystemRow:
    name = "ODE-RNN" if model == "ode_rnn" else "neural CDE"
    return SystemRow(
        f"character trajectories, 30 % of the points dropped: {name}",
        {"data": "characters", "drop": 0.3, "model": model},
        cpu,
        {"hidden": 32, "epochs": 1000},
        {"accuracy": (Figure(figure, KIDGER),)},
        ("accuracy",),
        "character_trajectories",
    )


def _vowels(model: str, cpu: Settings, *figures: Figure) -> SystemRow:
    name = "ODE-RNN" if model == "ode_rnn" else "neural CDE"
    return SystemRow(
        f"Japanese vowels: {name}",
        {"data": "vowels", "drop": 0.0, "model": model},
        cpu,
        {"hidden": 32, "epochs": 1000},
        {"accuracy": figures},
        ("accuracy",),
        "japanese_vowels",
    )


SERIES = SystemTable(
    "series",
    "Time series",
    (
        _letters("ode_rnn", {"hidden": 64, "units": 64, "lr": 4e-3, "epochs": 150}, "95.4 %"),
        _letters("neural_cde", {"hidden": 48, "units": 64, "lr": 2e-3, "epochs": 150}, "98.7 %"),
        _vowels(
            "ode_rnn",
            {"hidden": 64, "epochs": 100},
            Figure("94.9 %", "dynamic time warping, UEA archive"),
        ),
        _vowels("neural_cde", {"epochs": 200}),
        *(_spirals(observed, model) for observed in SPIRALS for model in ("rnn", "latent_ode")),
        SystemRow(
            "PhysioNet 2012, set a: latent ODE with ODE-RNN encoder",
            {"data": "physionet", "model": "latent_ode"},
            {"epochs": 25},
            {"epochs": 100, "quantisation": 0.016},
            {
                "auroc": (Figure("0.829 ± 0.004", RUBANOVA),),
                "mse": (Figure("2.12e-3 ± 0.27e-3", RUBANOVA),),
            },
            ("auroc", "mse"),
            "physionet2012",
        ),
    ),
)

SYSTEM_TABLES = {table.name: table for table in (DENSITY, SERIES, DETECTION, DEPTH)}
