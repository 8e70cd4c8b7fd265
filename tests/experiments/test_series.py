"""Time series from the command line: a short run, its files, wrong requests in one line."""

import json

import numpy as np
import pytest

import jaxode
from experiments import series
from experiments.timeseries import data, pictures
from experiments.timeseries.config import SeriesConfig
from experiments.timeseries.data import problem
from jaxode.cli import main as command
from jaxode.cli import process
from jaxode.data.series import read_folder
from jaxode.models.series_config import FILE, SeriesModelConfig
from jaxode.tasks import LatentSeries, SeriesClassification

SMALL = ["--hidden=4", "--units=4", "--layers=1", "--epochs=2", "--batch-size=8"]


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    """The tests' process keeps its own signal handlers and exit functions."""
    monkeypatch.setattr(process, "prepare", lambda: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Series of two classes and two channels as .npz files."""
    out, rng = tmp_path_factory.mktemp("series"), np.random.default_rng(0)
    for name, count in (("train", 24), ("test", 10)):
        times = np.cumsum(rng.uniform(0.1, 1, (count, 6)), 1)
        labels = np.arange(count) % 2
        values = np.sin((1 + labels)[:, None, None] * times[..., None] + np.arange(2))
        np.savez(out / f"{name}.npz", times=times, values=values, labels=labels)
    return out


def test_a_folder_is_learned_and_the_run_says_which_model(folder, tmp_path, capsys, no_pictures):
    out = tmp_path / "run"
    flags = [*SMALL, "--data", str(folder), "--model=rnn_delta", "--drop=0.2", "--out", str(out)]
    assert series.main(flags) == 0
    assert "the best of the validation series" in capsys.readouterr().out
    found = SeriesModelConfig.from_json(json.loads((out / FILE).read_text()))
    assert (found.model, found.channels, found.outputs) == ("rnn_delta", 2, 2)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert lines[0]["validation_loss"] > 0
    used(out, folder, capsys)
    assert series.main([*flags, "--resume", "--hidden=5"]) == 2
    assert "hidden must be 4, as in" in capsys.readouterr().err


def used(out, folder, capsys):
    """The run's own test predictions come from the user's series, which are not standardised."""
    with np.load(out / "images.npz") as stored:
        classes = stored["predicted"]
    model = jaxode.load(out)
    points = read_folder(folder).test.drop_points(0.2, 0)
    found = model.predict(points)
    np.testing.assert_array_equal(found.labels, classes)
    scores = jaxode.evaluate(model, points)
    result = json.loads((out / "result.json").read_text())
    assert scores.accuracy == pytest.approx(result["test_accuracy"])
    assert scores.metrics["loss"] == pytest.approx(result["test_loss"], rel=1e-5)
    capsys.readouterr()
    assert command.main(["predict", str(out), str(folder), "--top", "2"]) == 0
    assert capsys.readouterr().out.count("\n") == 10
    assert command.main(["evaluate", str(out), "--data", str(folder / "test.npz")]) == 0
    assert "10 examples" in capsys.readouterr().out
    assert command.main(["info", str(out)]) == 0
    assert "status: complete" in capsys.readouterr().out
    for words, message in [
        (["predict", str(out), str(folder), "--times", "1,2"], "times must be left out"),
        (["evaluate", str(out)], "data must be given for a model of series"),
        (["evaluate", str(out), "--dataset", "mnist"], "--dataset must be left out"),
        (["export", str(out), "x.npz"], "must be of a classifier of images"),
        (["sample", str(out)], "must be of a trained density"),
        (["predict", str(out), "7.txt"], "trained with no PhysioNet records"),
    ]:
        assert command.main(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--step-size=0.5"], "step-size must be left out for latent_ode"),
        (["--data=physionet"], "data_dir must be given"),
        (["--data=nowhere"], "nowhere"),
        (["--data=spirals", "--model=gru_d"], "model must be latent_ode or rnn for spirals"),
        (["--observed=1"], "observed must be"),
        (["--drop=0.95"], "drop must be"),
    ],
)
def test_a_wrong_request_is_one_line(flags, message, tmp_path, capsys):
    assert series.main([*flags, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_spirals_are_tested_on_the_truth_behind_the_window(monkeypatch):
    monkeypatch.setattr(data, "SPIRALS", {"train": 3, "validation": 2, "test": 4})
    found = problem(SeriesConfig(observed=30))
    train, test = found.dataset.splits["train"], found.dataset.splits["test"]
    assert isinstance(found.task, LatentSeries)
    assert train["times"].shape == (3, 30)
    assert test["target_values"].shape == (4, 100, 2)
    assert (test["target_times"][:, 0] > test["times"][:, -1]).all()
    assert train["target_mask"].sum() == 3 * 30 * 2
    np.testing.assert_array_equal(train["target_times"][:, :30], train["times"])


@pytest.mark.parametrize(
    ("name", "where", "classes", "sizes"),
    [
        ("vowels", "japanese_vowels", 9, (229, 41, 370)),
        ("characters", "character_trajectories", 20, (1000, 215, 214)),
    ],
)
def test_real_series_with_classes(name, where, classes, sizes, real_data):
    found = problem(SeriesConfig(name, data_dir=str(real_data / where), drop=0.3))
    splits = found.dataset.splits
    counts = tuple(len(splits[part]["times"]) for part in ("train", "validation", "test"))
    assert isinstance(found.task, SeriesClassification)
    assert found.outputs == classes
    assert counts == pytest.approx(sizes, abs=8)
    seen = splits["train"]["mask"] > 0
    assert splits["train"]["values"][seen].mean() == pytest.approx(0, abs=1e-3)


@pytest.mark.slow
def test_real_intensive_care(real_data):
    flags = {"data_dir": str(real_data / "physionet2012"), "batch_size": 50}
    found = problem(SeriesConfig("physionet", **flags))
    train, test = (found.dataset.splits[name] for name in ("train", "test"))
    assert (train.examples, len(test["times"])) == (2880, 800)
    assert test["outcome"].mean() == pytest.approx(554 / 4000, abs=0.03)
    weights = [next(iter(train.read(epoch)))["divergence_weight"][0] for epoch in (0, 11)]
    assert weights == pytest.approx([0.0, 0.01], abs=1e-6)


@pytest.mark.slow
def test_a_latent_ode_of_spirals_is_trained_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SPIRALS", {"train": 16, "validation": 8, "test": 8})
    monkeypatch.setattr(pictures, "POINTS", 20)
    out = tmp_path / "run"
    assert series.main([*SMALL, "--observed=8", "--latent=2", "--out", str(out)]) == 0
    assert (out / pictures.FILE).read_bytes().startswith(b"\x89PNG")
    result = json.loads((out / "result.json").read_text())
    assert result["test_rmse"] > 0
