import copy
import dataclasses
import json
import math

import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.config import PARTS, DataConfig, ModelConfig, OptimConfig, RunConfig, SolveConfig
from jaxode.config.keys import ALWAYS


def test_json_round_trip_is_exact():
    config = RunConfig(
        model=ModelConfig("resnet", 4, 32),
        solve=SolveConfig(rtol=1e-7, gradient="backsolve", backward_rtol=0.1),
    )
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model": 3},
        [],
        {**RunConfig().to_json(), "extra": 1},
        {**RunConfig().to_json(), "optim": {"lr": "high"}},
    ],
)
def test_what_is_no_run_is_refused_in_one_line(values):
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_json(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ModelConfig, {"model": "vgg"}),
        (ModelConfig, {"blocks": -1}),
        (ModelConfig, {"model": "mlp", "blocks": 2}),
        (ModelConfig, {"augment_dims": -1}),
        (ModelConfig, {"augment_dims": 5, "model": "resnet"}),
        (ModelConfig, {"augment_dims": 5, "blocks": 0}),
        (ModelConfig, {"width": 33}),
        (ModelConfig, {"width": 0}),
        (SolveConfig, {"solver": "dopri6"}),
        (SolveConfig, {"solver": "rk4"}),
        (SolveConfig, {"rtol": -1e-3}),
        (SolveConfig, {"atol": math.nan}),
        (SolveConfig, {"rtol": math.inf}),
        (SolveConfig, {"step_size": 0.0}),
        (SolveConfig, {"step_size": 2e9}),
        (SolveConfig, {"step_size": 1e-3}),
        (SolveConfig, {"step_size": 1e-320}),
        (SolveConfig, {"max_steps": 0}),
        (SolveConfig, {"backward_rtol": 1e-3}),
        (DataConfig, {"dataset": ""}),
        (DataConfig, {"limit_train": 0}),
        (OptimConfig, {"lr": 0.0}),
        (OptimConfig, {"momentum": 1.0}),
        (OptimConfig, {"momentum": math.nan}),
        (OptimConfig, {"weight_decay": -1.0}),
        (RunConfig, {"epochs": 0}),
        (RunConfig, {"batch_size": True}),
        (RunConfig, {"seed": -1}),
        (RunConfig, {"seed": 2**32}),
        (RunConfig, {"precision": "float8"}),
        (RunConfig, {"precision": "float16", "solve": SolveConfig(gradient="backsolve")}),
    ],
)
def test_values_out_of_range_are_named(kind, values):
    with pytest.raises(ConfigError) as caught:
        kind(**values)
    value = next(iter(values.values()))
    assert next(iter(values)) in str(caught.value) or str(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_flat_has_every_setting_once():
    names = [
        field.name
        for part in (*PARTS.values(), RunConfig)
        for field in dataclasses.fields(part)
        if "help" in field.metadata
    ]
    assert sorted(RunConfig().flat()) == sorted([*names, "extended_from"])


def test_replaced_fills_in_what_depends_on_a_choice():
    assert RunConfig().replaced(model="resnet").model.blocks == 6
    assert RunConfig().replaced(model="resnet", blocks=2).model.blocks == 2
    assert RunConfig().replaced(optimizer="adam").optim.lr == 1e-3
    assert RunConfig().replaced(optimizer="adam", lr=0.5).optim.lr == 0.5
    assert RunConfig().replaced(model="odenet", optimizer="sgd") == RunConfig()
    with pytest.raises(ConfigError, match="colour"):
        RunConfig().replaced(colour=1)


@pytest.mark.parametrize("bad", [{"solver": "tsit5"}, {"solver": "rk4_classic", "step_size": 0.1}])
def test_what_torchdiffeq_lacks_is_refused(bad):
    with pytest.raises(ConfigError, match="under stepping torchdiffeq"):
        SolveConfig(stepping="torchdiffeq", **bad)


def test_what_devices_cannot_do_by_themselves_is_refused():
    with pytest.raises(ConfigError, match="pmap has tape, replay, direct or backsolve"):
        RunConfig().replaced(gradient="checkpointed", parallel="pmap")
    with pytest.raises(ConfigError, match="pmap has direct or backsolve"):
        RunConfig().replaced(solver="kvaerno3", parallel="pmap")
    assert (
        RunConfig()
        .replaced(model="resnet", gradient="checkpointed", parallel="pmap")
        .parallel.devices
        is None
    )


def test_without_ode_blocks_no_solver_is_refused():
    models = [
        ModelConfig(*which)
        for which in (("odenet", 2), ("odenet", 0), ("resnet", 2), ("resnet", 0), ("mlp",))
    ]
    assert [model.ode_blocks for model in models] == [2, 0, 0, 0, 0]
    assert (
        RunConfig().replaced(blocks=0, gradient="checkpointed", parallel="pmap").model.blocks == 0
    )
    assert (
        RunConfig().replaced(blocks=0, gradient="backsolve", precision="float16").model.blocks == 0
    )


LEAVES = [
    (part, name)
    for part, values in RunConfig().to_json().items()
    if isinstance(values, dict)
    for name in values
] + [("", name) for name, value in RunConfig().to_json().items() if not isinstance(value, dict)]


def refused(values):
    """The one line with which a config.json of these values is refused."""
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_json(values)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 400
    return line


def with_value(part, name, value):
    """A config.json with another value of one setting."""
    values = copy.deepcopy(RunConfig().to_json())
    (values[part] if part else values)[name] = value
    return values


@pytest.mark.parametrize(("part", "name"), LEAVES)
def test_a_value_of_another_type_is_named_with_its_key(part, name):
    own = (RunConfig().to_json()[part] if part else RunConfig().to_json())[name]
    key = f"{part}.{name}" if part else name
    wrong = [[], {}, [own], "\x1b[31m" + "x" * 10**5, 10**5000, math.nan, 0.5j]
    for value in [*wrong, *((1, 0.0, "true", None) if isinstance(own, bool) else (True,))]:
        assert refused(with_value(part, name, value)).startswith(f"{key} must be ")


@pytest.mark.parametrize(
    ("part", "name", "value", "line"),
    [
        ("", "epochs", 5.0, "epochs must be a whole number from 1 to 1000000, got 5.0"),
        ("", "seed", None, "seed must be a whole number from 0 to 4294967295, got None"),
        ("solve", "rtol", "1e-3", "solve.rtol must be a number from 1e-16 to 1000, got '1e-3'"),
        ("solve", "solver", None, "solve.solver must be one of euler"),
        ("solve", "per_sample", 1, "solve.per_sample must be true or false, got 1"),
        ("solve", "gradient", ["tape"], "solve.gradient must be one of tape, "),
        ("solve", "solver", "kvaerno3", "solve.gradient tape needs an explicit solver"),
        ("solve", "rtoll", 1, "solve.rtoll is no setting: did you mean rtol?"),
        ("model", "width\x1b", 1, r"model.width\x1b is no setting: did you mean width?"),
        (
            "data",
            "data_dir",
            "a\0b",
            r"data.data_dir must be a path, which has no NUL character, got 'a\x00b'",
        ),
        ("data", "augment", 3, "data.augment must be a text that is not empty, got 3"),
        ("", "solve", [], "solve must be an object, got []"),
        ("", "optim", None, "optim must be an object, got None"),
        ("", "extra", 1, "extra is no setting"),
    ],
)
def test_a_damaged_setting_is_named(part, name, value, line):
    assert refused(with_value(part, name, value)).startswith(line)


def test_a_setting_that_every_run_has_is_missed():
    for prefix, names in ALWAYS.items():
        for name in names:
            values = copy.deepcopy(RunConfig().to_json())
            del (values[prefix[:-1]] if prefix else values)[name]
            assert refused(values) == f"{prefix}{name} is missing"
    for part in ("model", "solve", "data", "optim"):
        values = RunConfig().to_json()
        del values[part]
        assert refused(values) == f"{part} is missing"


def test_scalars_of_numpy_become_pythons():
    solve = SolveConfig(np.str_("bosh3"), np.float64(0.5), np.float32(0.25), max_steps=np.int64(9))
    assert (solve.solver, solve.rtol, solve.atol, solve.max_steps) == ("bosh3", 0.5, 0.25, 9)
    assert [type(value) for value in (solve.solver, solve.rtol, solve.atol, solve.max_steps)] == [
        str,
        float,
        float,
        int,
    ]
    assert SolveConfig(per_sample=np.True_).per_sample is True  # pyright: ignore[reportArgumentType]
    assert (
        type(SolveConfig(rtol=1).rtol) is int
    )  # as it was written, which a run's identity is computed from
    for bad in (
        {"max_steps": np.float64(9)},
        {"max_steps": np.True_},
        {"rtol": np.True_},
        {"rtol": np.ones(1)},
    ):
        with pytest.raises(ConfigError, match=f"{next(iter(bad))} must be a"):
            SolveConfig(**bad)


def test_the_choice_that_was_meant_is_suggested():
    for kind, name, value, meant in (
        (SolveConfig, "solver", "rk45", "dopri5"),
        (SolveConfig, "solver", "dopri", "dopri5"),
        (SolveConfig, "solver", "Dopri8", "dopri8"),
        (SolveConfig, "gradient", "adjoint", "backsolve"),
        (OptimConfig, "optimizer", "SGD", "sgd"),
        (RunConfig, "precision", "bf16", "bfloat16"),
        (ModelConfig, "model", "ode-net", "odenet"),
    ):
        with pytest.raises(
            ConfigError, match=f"^{name} must be one of .*, got '{value}': did you mean {meant}\\?$"
        ):
            kind(**{name: value})
    with pytest.raises(ConfigError, match=r"got 'vgg'$"):
        ModelConfig("vgg")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="optimizer must be one of"):
        RunConfig().replaced(optimizer=["sgd"])


def test_parts_must_be_parts():
    with pytest.raises(ConfigError, match=r"solve must be a SolveConfig, got \{\}"):
        RunConfig(solve={})  # pyright: ignore[reportArgumentType]
