"""Density estimation from the command line: a short run, its files, points of the trained flow."""

import json
import signal

import numpy as np
import pytest
from PIL import Image

import jaxode
from experiments import density
from experiments.densities import cost, pictures, training
from jaxode.cli import main as command
from jaxode.cli import process, sample
from jaxode.data.densities import TARGETS
from jaxode.errors import Stopped
from jaxode.plots import density as plots

SHORT = [
    "--target=8gaussians", "--epochs=2", "--steps=25", "--batch-size=64", "--test-points=100",
    "--field=concatsquash", "--hidden=8", "--solver=heun", "--rtol=1e-2", "--atol=1e-2",
    "--lr=0.02", "--divergence=rademacher",
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    """The tests' process keeps its own signal handlers and exit functions."""
    monkeypatch.setattr(process, "prepare", lambda: None)


@pytest.fixture(scope="module")
def run(tmp_path_factory, no_pictures):
    """Directory of one run."""
    out = tmp_path_factory.mktemp("density") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "ON_THE_WAY", (0.0,))
        patch.setattr(pictures, "SIDE", 8)
        patch.setattr(pictures, "SHOWN", 50)
        patch.setattr(pictures, "PART", 50)
        patch.setattr(pictures, "FRAMES", 3)
        patch.setattr(cost, "TOLERANCES", (1e-1, 1e-2, 1e-4))
        assert density.main([*SHORT, "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_it_learns_and_never_passes_the_entropy(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((run / "result.json").read_text())
    assert lines[-1]["test_loss"] < lines[0]["test_loss"]
    found = result["density"]
    assert found["nats"] == pytest.approx(-lines[-1]["test_loss"], abs=1e-4)
    assert found["gap"] > -4 * found["standard_error"]
    assert (run / "density.png").read_bytes().startswith(b"\x89PNG")
    assert (run / "likelihood_nfe.png").read_bytes().startswith(b"\x89PNG")
    with Image.open(run / "flow.gif") as gif:
        assert gif.n_frames >= 3
    costs = json.loads((run / "density.json").read_text())["likelihood_against_nfe"]
    assert [each["tolerance"] for each in costs] == [1e-1, 1e-2, 1e-4]
    assert costs[0]["nfe"] < costs[2]["nfe"]
    assert costs[1]["nats"] == pytest.approx(found["nats"], abs=1e-3)  # the run's tolerance


@pytest.mark.slow
def test_points_are_drawn_and_judged(run, tmp_path, capsys):
    points, log_p = tmp_path / "points.npy", tmp_path / "log_p.npy"
    assert sample.main([str(run), "--n", "40", "--out", str(points)]) == 0
    drawn = np.load(points)
    assert drawn.shape == (40, 2)
    assert sample.main([str(run), "--log-density", str(points), "--out", str(log_p)]) == 0
    found = np.load(log_p)
    assert found.shape == (40,)
    flow = jaxode.load(run)
    np.testing.assert_allclose(flow.log_density(drawn), found, rtol=1e-6)
    np.testing.assert_array_equal(flow.sample(40).astype(np.float32), drawn)
    result = json.loads((run / "result.json").read_text())
    assert abs(found.mean() - result["density"]["nats"]) < 1
    np.save(points, np.ones((3, 5)))
    capsys.readouterr()
    assert sample.main([str(run), "--log-density", str(points)]) == 2
    assert "must be an array [N, 2]" in capsys.readouterr().err


@pytest.mark.slow
def test_the_runs_own_score_comes_out_again(run, tmp_path, capsys):
    config = json.loads((run / "density.json").read_text())
    test = TARGETS["8gaussians"].draw(np.random.default_rng([config["seed"], 0]), 100)
    np.save(tmp_path / "test.npy", test.astype(np.float32))
    words = ["evaluate", str(run), "--data", str(tmp_path / "test.npy")]
    assert command.main([*words, "--json", str(tmp_path / "e.json")]) == 0
    (found,) = json.loads((tmp_path / "e.json").read_text())
    nats = json.loads((run / "result.json").read_text())["density"]["nats"]
    assert found["log_likelihood"] == pytest.approx(nats, abs=1e-5)
    assert "log likelihood" in capsys.readouterr().out
    assert command.main(["predict", str(run), str(tmp_path / "test.npy")]) == 0
    assert f"mean {nats:.3f}"[:-1] in capsys.readouterr().out


@pytest.mark.slow
def test_a_finished_run_is_gone_on_with_by_the_same_flow_alone(run, capsys):
    before = (run / "metrics.jsonl").read_bytes()
    others = [word for word in SHORT if not word.startswith("--hidden")]
    assert density.main([*others, "--hidden=4", "--resume", "--out", str(run)]) == 2
    assert "hidden must be 8, as in" in capsys.readouterr().err
    assert density.main([*SHORT, "--out", str(run)]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before


@pytest.mark.slow
def test_the_best_epoch_of_a_table_is_chosen_by_points_apart(tmp_path, capsys):
    np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(80, 2)))
    flags = [word for word in SHORT if not word.startswith("--target")]
    flags += ["--validation=0.25", "--patience=1", "--epochs=30", "--lr=1"]  # diverges soon
    assert (
        density.main([*flags, "--target", f"{tmp_path}/table.npy", "--out", f"{tmp_path}/r"]) == 0
    )
    facts = json.loads((tmp_path / "r/inputs.json").read_text())
    assert facts["scale"] == pytest.approx([1, 1], abs=0.3)
    assert len(facts["shift"]) == 2
    lines = [json.loads(line) for line in (tmp_path / "r/metrics.jsonl").read_text().splitlines()]
    losses = [line["validation_loss"] for line in lines]
    assert len(lines) == 2 + int(np.argmin(losses)) < 30
    best = lines[int(np.argmin(losses))]["test_log_likelihood"]
    assert f"the best of the validation points, {best:.4f}" in capsys.readouterr().out


def test_a_stopped_run_is_one_line_and_has_its_settings(tmp_path, monkeypatch, capsys):
    def stopped(flow, task, data, settings, *, callbacks, **more):
        for callback in callbacks:
            callback.on_start(None)
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(training, "fit", stopped)
    assert density.main([*SHORT, "--out", str(tmp_path)]) == 128 + signal.SIGTERM
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "stopped by signal 15" in error
    assert json.loads((tmp_path / "flow.json").read_text())["hidden"] == "8"
    assert json.loads((tmp_path / "density.json").read_text())["target"] == "8gaussians"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--target=squares", "target must be one of"),
        ("--target=red_wine", "data_dir must be given"),
        (
            "--target=bsds300 --data-dir=no",
            "--data-dir must be the folder that holds patches.npz.xz, got 'no'",
        ),
        ("--target=missing.npy", "cannot read missing.npy"),
        ("--hidden=0,3", "hidden must be sizes"),
        ("--validation=0.1", "validation must be 0 for points that are drawn anew"),
    ],
)
def test_a_wrong_request_is_one_line(argument, message, tmp_path, capsys):
    assert density.main([*argument.split(), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_directory_without_a_density_is_refused(tmp_path, capsys):
    assert sample.main([str(tmp_path)]) == 2
    assert "is no run: it has no config.json" in capsys.readouterr().err


def test_panels_are_a_png():
    rows = [[plots.Panel("p", np.ones((4, 4)), True), plots.Panel("x", np.ones((3, 2)), False)]]
    assert plots.draw(rows, 2.0, "title").startswith(b"\x89PNG")
