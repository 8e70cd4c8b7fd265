import dataclasses
import json
import math

import pytest

from jaxode.checks import ConfigError
from jaxode.config import PARTS, DataConfig, ModelConfig, OptimConfig, RunConfig, SolveConfig


def test_json_round_trip_is_exact():
    config = RunConfig(
        model=ModelConfig("resnet", 4, 32), solve=SolveConfig(rtol=1e-7, gradient="backsolve", backward_rtol=0.1)
    )
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    "values",
    [{}, {"model": 3}, [], {**RunConfig().to_json(), "extra": 1}, {**RunConfig().to_json(), "optim": {"lr": "high"}}],
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
        (SolveConfig, {"step_size": 1.5}),
        (SolveConfig, {"step_size": 1e-3}),
        (SolveConfig, {"step_size": 1e-320}),
        (SolveConfig, {"max_steps": 0}),
        (SolveConfig, {"backward_rtol": 1e-3}),
        (DataConfig, {"dataset": "svhn"}),
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
    assert sorted(RunConfig().flat()) == sorted(names)


def test_replaced_fills_in_what_depends_on_a_choice():
    assert RunConfig().replaced(model="resnet").model.blocks == 6
    assert RunConfig().replaced(model="resnet", blocks=2).model.blocks == 2
    assert RunConfig().replaced(optimizer="adam").optim.lr == 1e-3
    assert RunConfig().replaced(optimizer="adam", lr=0.5).optim.lr == 0.5
    assert RunConfig().replaced(model="odenet", optimizer="sgd") == RunConfig()
    with pytest.raises(ConfigError, match="colour"):
        RunConfig().replaced(colour=1)


@pytest.mark.parametrize("bad", [{"solver": "tsit5"}, {"solver": "heun"}, {"solver": "rk4_classic", "step_size": 0.1}])
def test_what_torchdiffeq_lacks_is_refused(bad):
    with pytest.raises(ConfigError, match="under stepping torchdiffeq"):
        SolveConfig(stepping="torchdiffeq", **bad)


def test_what_devices_cannot_do_by_themselves_is_refused():
    with pytest.raises(ConfigError, match="pmap has tape, replay, direct or backsolve"):
        RunConfig().replaced(gradient="checkpointed", parallel="pmap")
    with pytest.raises(ConfigError, match="pmap has direct or backsolve"):
        RunConfig().replaced(solver="kvaerno3", parallel="pmap")
    assert RunConfig().replaced(model="resnet", gradient="checkpointed", parallel="pmap").parallel.devices is None


def test_without_ode_blocks_no_solver_is_refused():
    models = [ModelConfig(*which) for which in (("odenet", 2), ("odenet", 0), ("resnet", 2), ("resnet", 0), ("mlp",))]
    assert [model.ode_blocks for model in models] == [2, 0, 0, 0, 0]
    assert RunConfig().replaced(blocks=0, gradient="checkpointed", parallel="pmap").model.blocks == 0
    assert RunConfig().replaced(blocks=0, gradient="backsolve", precision="float16").model.blocks == 0


def test_a_run_from_before_some_settings_is_read():
    old = RunConfig().to_json()
    del old["parallel"], old["model"]["augment_dims"]
    assert RunConfig.from_json(old) == RunConfig()
