"""Densities of images from the command line: a short run of the sample, its files, its samples."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import jaxode
from experiments import density
from experiments.densities import images
from jaxode.cli import process, sample
from jaxode.plots.image_sheet import image_sheet

SHORT = [
    "--target=mnist", "--limit-train=32", "--limit-test=8", "--epochs=2", "--batch-size=8",
    "--hidden=2", "--strides=2,-2", "--solver=heun", "--rtol=1e-1", "--atol=1e-1", "--lr=0.02",
    "--exact-images=1",
]  # fmt: skip


def pixels(file):
    with Image.open(file) as picture:
        return np.asarray(picture)


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    """The tests' process keeps its own signal handlers."""
    monkeypatch.setattr(process, "prepare", lambda: None)


@pytest.fixture(scope="module")
def run(tmp_path_factory, no_pictures):
    """Directory of one run."""
    out = tmp_path_factory.mktemp("images") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "SAMPLES", 3)
        assert density.main([*SHORT, "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_it_learns_and_writes_what_it_found(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["test_bits_per_dim"] < lines[0]["test_bits_per_dim"]
    report = json.loads((run / "result.json").read_text())["density"]
    assert report["bits_per_dim"] == pytest.approx(lines[-1]["test_loss"], abs=1e-4)
    exact = json.loads((run / "density.json").read_text())["exact"]
    assert exact["images"] == 1
    assert exact["bits_per_dim"] == pytest.approx(exact["estimated"], abs=0.2)
    assert pixels(run / "samples.png").ndim == 2


@pytest.mark.slow
def test_samples_and_log_densities_of_a_run(run, tmp_path, capsys):
    sheet, drawn, log_p = (tmp_path / name for name in ("s.png", "drawn.npy", "log_p.npy"))
    assert sample.main([str(run), "--n", "3", "--out", str(sheet)]) == 0
    assert pixels(sheet).shape == (2 * 30, 2 * (16 * 29 + 1))
    assert sample.main([str(run), "--n", "3", "--out", str(drawn)]) == 0
    found = np.load(drawn)
    assert found.shape == (3, 28, 28, 1)
    assert found.dtype == np.uint8
    words = [str(run), "--log-density", str(drawn), "--out", str(log_p)]
    assert sample.main(words) == 0
    assert np.load(log_p).shape == (3,)
    flow = jaxode.load(run)
    np.testing.assert_array_equal(flow.sample(3), found)
    np.testing.assert_allclose(flow.predict(drawn).values, np.load(log_p), rtol=1e-5)
    bits = jaxode.evaluate(flow, drawn).metrics["bits_per_dim"]
    unit = 784 * np.log(2)
    assert bits == pytest.approx(-np.load(log_p).mean() / unit, rel=1e-4)
    np.save(drawn, found.astype(float))
    capsys.readouterr()
    assert sample.main(words) == 2
    assert "must be an array [N, 28, 28, 1] of bytes, got float64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target=mnist", "--field=hypernetwork"], "field must be of images, or left out"),
        (["--target=mnist", "--divergence=exact"], "divergence must be gaussian or rademacher"),
        (["--target=circles", "--scales=2"], "scales must be left out for target circles"),
        (["--target=circles", "--field=concat"], "field must be hypernetwork or concatsquash"),
        (["--target=mnist", "--scales=4", "--limit-train=8"], "scales must be at most 3"),
    ],
)
def test_a_wrong_request_is_one_line(arguments, message, tmp_path, capsys):
    assert density.main([*arguments, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1]


def test_a_sheet_has_its_images_in_rows():
    pictures = np.stack([np.full((2, 3, 3), shade, np.uint8) for shade in (10, 20, 30)])
    sheet = pixels(io.BytesIO(image_sheet(pictures, 2, enlarged=1)))
    assert sheet.shape == (7, 9, 3)
    assert [sheet[1, 1, 0], sheet[1, 5, 0], sheet[4, 1, 0], sheet[4, 5, 0]] == [10, 20, 30, 255]
