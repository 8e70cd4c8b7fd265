"""Depth from the command line: a short run, its files, wrong requests in one line."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from PIL import Image

import jaxode
from experiments import depth
from experiments.depths import pictures, training
from experiments.depths.config import DepthConfig
from experiments.depths.data import problem
from jaxode.cli import predict
from jaxode.data.depth import NYU_QUARTER, DepthReading, DepthUnit
from jaxode.data.depth.views import AUGMENTATIONS
from jaxode.models.depth_config import FILE, DepthModelConfig

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--width=8", "--decoder=32", "--solver=euler", "--step-size=1", "--batch-size=4"]


class Affine(nnx.Module):
    """Log depth as an affine function of the red channel, so that nothing takes long to compile."""

    def __init__(self):
        self.numbers = nnx.Param(np.zeros(2, np.float32))

    def __call__(self, images):
        return self.numbers[0] + self.numbers[1] * images[..., 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pictures as bright as they are near; one has no depth map."""
    out, rng = tmp_path_factory.mktemp("depth"), np.random.default_rng(0)
    for part in ("rgb", "depth"):
        (out / part).mkdir()
    for number in range(12):
        millimetres = rng.integers(1000, 8000, (32, 32)).astype(np.uint16)
        shade = (255 - millimetres // 32).astype(np.uint8)
        Image.fromarray(np.stack([shade] * 3, 2)).save(out / "rgb" / f"{number}.png")
        Image.fromarray(millimetres).save(out / "depth" / f"{number}.png")
    (out / "depth" / "7.png").unlink()
    return out


def test_a_folder_is_learned_and_the_run_says_which_model(
    folder, tmp_path, capsys, monkeypatch, no_pictures
):
    drawn = []
    monkeypatch.setattr(training, "create_depth_model", lambda *rest: Affine())
    monkeypatch.setattr(pictures, "draw_depth", lambda rows, title: drawn.append(rows) or b"PNG")
    out = tmp_path / "run"
    flags = ["--data", str(folder), "--epochs=3", "--augment=none", "--lr=0.1", "--out", str(out)]
    assert depth.main(flags) == 0
    said = capsys.readouterr()
    assert "test rel" in said.out
    assert "left out: " in said.err
    assert "7.png: there is no file of its name that is a depth map" in said.err
    found = DepthModelConfig.from_json(json.loads((out / FILE).read_text()))
    assert (found.encoder, found.height, found.columns) == ("odenet", 32, 32)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["test_rel"] < lines[0]["test_rel"]
    assert {"test_rms", "test_log10", "test_delta3"} <= set(lines[0])
    best, worst = drawn
    assert len(best) == 2  # a fifth of eleven
    assert [row.title for row in best] == [row.title for row in reversed(worst)]
    assert depth.main([*flags, "--resume", "--encoder=vgg16"]) == 2
    assert "encoder must be 'odenet', as in" in capsys.readouterr().err.replace(
        "odenet,", "'odenet',"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data=nyuv2"], "data_dir must be given"),
        (["--data=nowhere"], "nowhere must hold a folder rgb"),
        (["--encoder=alexnet"], "alexnet"),
        (["--augment=mirror"], "augment must be"),
        (["--per-metre=10"], "per_metre must be left out for data nyuv2"),
        (["--image-height=64"], "image_width must be given with image_height"),
        (["--image-height=8"], "image_height must be"),
        (["--vgg-width=0"], "vgg_width must be"),
    ],
)
def test_a_wrong_request_is_one_line(flags, message, tmp_path, capsys):
    assert depth.main([*flags, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message.replace("_", "-") in error.replace("_", "-")


def test_names_of_augmentations_are_those_of_the_views():
    assert DepthConfig().augmentations == AUGMENTATIONS
    assert DepthConfig(augment="none").augmentations == ()
    assert DepthConfig(augment="flip,colour").augmentations == ("flip", "colour")


def test_a_data_set_has_its_crop_and_its_numbers(folder):
    nyu, own = DepthReading.of("nyuv2"), DepthReading.of(str(folder))
    assert nyu.eigen
    assert (nyu.unit, own.unit) == (NYU_QUARTER, DepthUnit(1000))
    assert not own.eigen
    assert own.changed(crop="eigen").eigen
    assert not DepthReading.of("nyuv2", crop="none").eigen
    found = problem(DepthConfig(str(folder), image_height=40, image_width=64))
    train = found.dataset.splits["train"]
    assert train["image"].shape == (9, 40, 64, 3)
    assert found.size == (40, 64)
    known = train["depth"][train["depth"] > 0]
    assert found.mean_log_depth == pytest.approx(np.log(known).mean(), abs=1e-4)
    assert found.mean == pytest.approx(train["image"].mean((0, 1, 2)) / 255, abs=1e-4)
    assert found.std == pytest.approx(train["image"].std((0, 1, 2)) / 255, abs=1e-4)
    scaled = problem(DepthConfig(str(folder), per_metre=100.0))
    np.testing.assert_allclose(
        scaled.dataset.splits["test"]["depth"], 10 * problem(DepthConfig(str(folder)))
        .dataset.splits["test"]["depth"], rtol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["{}", "[", '{"encoder": 1}'])
def test_a_damaged_file_of_the_model_is_one_line(text, tmp_path, capsys):
    (tmp_path / FILE).write_text(text)
    assert predict.main([str(tmp_path), "picture.png"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "depth.json" in error


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["odenet", "resnet", "vgg16"])
def test_every_encoder_is_trained_drawn_and_used(encoder, folder, tmp_path, capsys):
    out = tmp_path / "run"
    flags = [*SMALL, "--vgg-width=0.0625", "--epochs=2", f"--encoder={encoder}"]
    assert depth.main([*flags, "--data", str(folder), "--out", str(out)]) == 0
    for name in (pictures.BEST, pictures.WORST):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    result = json.loads((out / "result.json").read_text())
    assert result["status"] == "complete"
    picture = str(folder / "rgb" / "0.png")
    assert predict.main([str(out), picture, picture, "--pictures", str(tmp_path / "maps")]) == 0
    said = capsys.readouterr().out
    maps = [np.load(tmp_path / "maps" / f"{name}.npy") for name in ("0", "0-2")]
    np.testing.assert_array_equal(*maps)
    assert maps[0].shape == (32, 32)
    assert f"{maps[0].min():.2f} to {maps[0].max():.2f} m" in said
    assert (tmp_path / "maps" / "0.png").read_bytes().startswith(b"\x89PNG")
    for flag, words in (("--top=2", "--top is for models of classes"), ("--score=0.5", "left out")):
        assert predict.main([str(out), picture, flag]) == 2
        assert words in capsys.readouterr().err
    model = jaxode.load(out)
    test = problem(DepthConfig(str(folder))).dataset.splits["test"]
    found = np.stack([each.depth for each in model.predict(test["image"])])
    rel = (np.abs(found - test["depth"]) / test["depth"]).mean()
    assert rel == pytest.approx(result["test_rel"], rel=1e-4)


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(folder, tmp_path):
    flags = [*SMALL, "--epochs=4", "--data", str(folder)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert depth.main([*flags, "--out", str(whole)]) == 0
    command = [sys.executable, "-m", "experiments.depth", *flags, "--out", str(killed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    lines = killed / "metrics.jsonl"
    while not lines.is_file() or not lines.read_text():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert depth.main([*flags, "--out", str(killed), "--resume"]) == 0

    def numbers(out):
        timed = ("seconds", "per_second")
        return [
            {name: value for name, value in json.loads(line).items() if not name.endswith(timed)}
            for line in (out / "metrics.jsonl").read_text().splitlines()
        ]

    assert numbers(killed) == numbers(whole)
    arrays = [dict(np.load(out / "images.npz")) for out in (whole, killed)]
    assert set(arrays[0]) == set(arrays[1])
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name])


@pytest.mark.slow
def test_nyu_depth_is_found_as_it_is(real_data):
    config = DepthConfig("nyuv2", data_dir=str(real_data / "nyuv2_quarter"))
    found = problem(config)
    assert dataclasses.asdict(training.model_of(config, found))["height"] == 120
    assert found.mean_log_depth == pytest.approx(0.868, abs=0.15)
    assert len(found.dataset.splits["test"]["image"]) == 654
