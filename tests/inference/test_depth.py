"""Trained models of depth evaluated on folders: units, crops, splits, wrong requests."""

import json

import numpy as np
import pytest
from flax import nnx
from PIL import Image

import jaxode.inference
from jaxode.checks import ConfigError
from jaxode.cli import evaluate
from jaxode.config import RunConfig
from jaxode.data.depth import DepthPairs, DepthReading, DepthUnit
from jaxode.inference.own_model import TrainedModule
from jaxode.inference.trained_depth import TrainedDepth
from jaxode.models.depth_config import DepthModelConfig
from jaxode.ode import Stats
from jaxode.train.state import split_model

SIDE = 32


class TwoMetres(nnx.Module):
    """Says two metres of every pixel."""

    def __init__(self):
        self.log_depth = nnx.Param(np.log(np.float32(2)))

    def __call__(self, images):
        return self.log_depth + 0 * images[..., 0], Stats.chain([])


@pytest.fixture
def model(tmp_path):
    module, config = TwoMetres(), RunConfig(batch_size=4)
    trained = TrainedModule(config, module, split_model(module)[1], tmp_path, 3)
    return TrainedDepth(trained, DepthModelConfig("resnet", height=SIDE, columns=SIDE))


@pytest.fixture
def folder(tmp_path):
    """Two training pairs and two test pairs; the border is 4 m away and the middle 2.5 m."""
    depth = np.full((SIDE, SIDE), 4000, np.uint16)
    depth[3:31, 2:30] = 2500
    place = tmp_path / "pairs"
    for split in ("train", "test"):
        for part in ("rgb", "depth"):
            (place / split / part).mkdir(parents=True)
        for name in "ab":
            Image.new("RGB", (SIDE, SIDE)).save(place / split / "rgb" / f"{name}.png")
            Image.fromarray(depth).save(place / split / "depth" / f"{name}.png")
    (place / "test" / "depth" / "c.png").write_bytes(b"no picture")
    return place


def rel(model, data):
    return jaxode.inference.evaluate(model, data).metrics["rel"]


def test_a_folder_is_measured_whole_or_in_eigens_crop(model, folder, caplog):
    middle = 28 * 28 / SIDE**2
    assert rel(model, folder) == pytest.approx(0.2 * middle + 0.5 * (1 - middle))
    assert "left out: " in caplog.text
    assert rel(model.read_as(crop="eigen"), str(folder)) == pytest.approx(0.2)
    # In centimetres the same numbers are ten times as far.
    assert rel(model.read_as(per_metre=100, crop="eigen"), folder) == pytest.approx(23 / 25)
    found = jaxode.inference.evaluate(model, folder)
    assert (found.examples, found.nfe) == (2, None)


def test_the_command_prints_errors_and_refuses_what_does_not_fit(
    model, folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(jaxode.inference, "load", lambda run, checkpoint: model)
    flags = ["RUN", "--data", str(folder)]
    out = tmp_path / "scores.json"
    assert evaluate.main([*flags, "--crop=eigen", "--json", str(out)]) == 0
    assert "rel 0.2, rms 0.5," in capsys.readouterr().out
    assert json.loads(out.read_text())[0]["delta1"] == 0
    for words, message in (
        (["RUN"], "data must be given for a model of depth: a folder of pairs"),
        (["RUN", "--data", str(tmp_path)], "must hold a folder rgb"),
        ([*flags, "--per-metre=0"], "--per-metre must be"),
        ([*flags, "--crop=half"], "--crop must be one of eigen, none"),
        ([*flags, "--dataset=mnist"], "--dataset must be left out"),
        ([*flags, "--tolerances=1e-1,1e-2"], "resnet solves no ODE, got rtol, atol"),
    ):
        assert evaluate.main(words) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1


def test_tolerances_are_of_adaptive_steps(model, folder, capsys, monkeypatch):
    """Whatever steps the run was trained with."""
    asked = []
    model.config = model.trained.config = RunConfig().replaced(
        solver="rk4", step_size=0.5, batch_size=4
    )
    monkeypatch.setattr(jaxode.inference, "load", lambda run, checkpoint: model)
    monkeypatch.setattr(
        TrainedDepth, "with_solve", lambda self, **changes: asked.append(changes) or self
    )
    flags = ["RUN", "--data", str(folder), "--tolerances=1e-1,1e-2", "--solver=dopri5"]
    assert evaluate.main(flags) == 0
    wanted = {"solver": "dopri5", "step_size": None, "rtol": 0.1, "atol": 0.1}
    assert asked == [wanted, {**wanted, "rtol": 0.01, "atol": 0.01}]
    head, *lines = capsys.readouterr().out.splitlines()
    assert "rel" in head
    assert len(lines) == 2


def test_pairs_of_another_size_are_refused(model):
    pairs = DepthPairs(("a",), np.zeros((1, 8, 8, 3), np.uint8), np.ones((1, 8, 8), np.float32))
    with pytest.raises(ConfigError, match=r"data must be pairs of 32 x 32 pixels, got \[1, 8, 8\]"):
        model.examples(pairs)


def test_a_run_says_how_its_folder_is_read():
    own = {"data": "/x/kitchens", "per_metre": 50.0, "crop": None, "test_share": 0.5, "seed": 3}
    assert DepthReading.of_experiment(own) == DepthReading(DepthUnit(50), False, 0.5, 3)
    assert DepthReading.of_experiment({"data": "nyuv2"}).eigen
    with pytest.raises(ConfigError, match="crop must be"):
        DepthReading.of_experiment({**own, "crop": "half"})
