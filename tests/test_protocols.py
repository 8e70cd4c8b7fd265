"""The protocol of torchdiffeq's odenet_mnist.py: every setting as that script has it."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from stubs import builder, image_set, run_config

from experiments import mnist
from jaxode.checks import ConfigError
from jaxode.cli.request import with_settings
from jaxode.config import PRESETS, PROTOCOLS, RunConfig, preset, protocol
from jaxode.train.compiled_steps import CompiledSteps

PROTOCOL = protocol("odenet_mnist", preset("mnist"))


def their_rate(step: int, batch_size: int, batches: int) -> float:
    """The rate of a step, as the script's text says it."""
    first = 0.1 * batch_size / 128
    decays = zip((60, 100, 140), (1, 0.1, 0.01), strict=True)
    return next((first * d for epoch, d in decays if step < batches * epoch), first * 0.001)


def test_rates_are_those_of_the_script_to_the_last_bit(x64):
    for batch_size in (128, 96):
        config = PROTOCOL.replaced(batch_size=batch_size, precision="float64")
        assert config.scaled_optim.lr == 0.1 * batch_size / 128
        steps = CompiledSteps(
            config.replaced(batch_size=16, lr_batch=None, lr=config.scaled_optim.lr, epochs=141),
            image_set(train=40, test=8),
            builder(),
        )
        assert steps.steps_per_epoch == 2  # the 8 images that fill no batch are left out
        for step in (0, 119, 120, 121, 199, 200, 279, 280, 281):
            assert float(steps.rate(step)) == their_rate(step, batch_size, 2)


def test_a_protocol_decides_every_setting_of_the_numbers():
    """A preset with other settings ends with the same ones."""
    free = {"dataset", "data", "data_dir", "limit_train", "limit_test", "classes", "test_share",
            "split_seed", "angle", "image_size", "feed", "parallel", "devices", "accumulate",
            "seed", "kernels", "max_steps", "tape_steps", "step_size", "per_sample",
            "backward_rtol", "backward_atol", "backward_norm", "extended_from"}  # fmt: skip
    assert set(PROTOCOLS["odenet_mnist"].settings) == set(RunConfig().flat()) - free
    other = RunConfig().replaced(
        model="resnet", width=32, optimizer="adam", schedule="cosine", crop="none", epochs=3
    )
    assert protocol("odenet_mnist", other) == PROTOCOL


def test_flags_change_a_protocol():
    config = with_settings(preset("mnist"), {"model": "resnet", "rtol": 1e-5}, "odenet_mnist")
    assert (config.model.name, config.model.blocks, config.solve.rtol) == ("resnet", 6, 1e-5)
    assert asdict(config.data) == asdict(PROTOCOL.data)


def test_a_protocol_is_of_its_data_sets():
    for name in PRESETS.keys() - {"mnist"}:
        with pytest.raises(
            ConfigError, match=f"protocol must be left out: there is none for {name}"
        ):
            protocol("odenet_mnist", preset(name))
    with pytest.raises(ConfigError, match="protocol must be one of odenet_mnist, got 'mine'"):
        protocol("mine", preset("mnist"))


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--protocol", "odenet"], "--protocol must be one of odenet_mnist, got 'odenet'"),
        (["--protocol", "odenet_mnist", "--config", "c"], "give --config or --protocol, not both"),
        (["--protocol", "odenet_mnist", "--resume", "r"], "give --resume or --protocol, not both"),
        (["--protocol", "odenet_mnist", "--milestones", "0"], "--milestones must be rising whole"),
    ],
)
def test_wrong_requests_end_in_one_line(argv, text, capsys):
    assert mnist.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line


def test_the_described_run_is_the_protocols(capsys):
    argv = ["--protocol", "odenet_mnist", "--downsampling-method", "res", "--describe"]
    assert mnist.main([*argv, "--model", "resnet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] == 601_482  # the 0.60 M of Chen et al. 2018, table 1
    assert found["shapes"]["downsampled"] == [7, 7, 64]
    assert RunConfig.from_json(found["config"]).data == PROTOCOL.data


@pytest.mark.parametrize("text", ["", "60,", "60,60", "100,60", "0,5", "1.5", "-1", "٣", "9" * 8])
def test_milestones_are_rising_epochs(text):
    with pytest.raises(ConfigError, match="milestones must be "):
        RunConfig().replaced(schedule="milestones", milestones=text)


def test_the_schedule_milestones_needs_them():
    with pytest.raises(ConfigError, match="milestones must be given for schedule milestones"):
        RunConfig().replaced(schedule="milestones")


@pytest.mark.parametrize("feed", ["resident", "streamed"])
def test_each_image_is_evaluated_once_in_batches_of_their_own(feed):
    config = run_config().replaced(eval_batch_size=24, feed=feed, drop_last=True)
    steps = CompiledSteps(config, image_set(train=70, test=23), builder())
    state = steps.first_state()
    steps.compile(state)
    for split, count in (("train", 70), ("test", 23)):
        found = steps.feed.evaluation(split)
        assert found.count == -(-count // 24)
        sums = steps.evaluate(state.learned, steps.empty_metrics(), found, found.count)
        found.close()
        assert int(sums.totals.images) == count
        assert np.asarray(sums.metrics["confusion"]).sum() == count
    state = steps.train(state, *steps.epoch(0), steps.steps_per_epoch)
    assert int(state.totals.images) == 64  # four full batches of 16; six images are left out


def test_an_epoch_needs_a_full_batch():
    with pytest.raises(ConfigError, match="batch_size must be at most 15, the training images"):
        CompiledSteps(run_config().replaced(drop_last=True), image_set(train=15), builder())
