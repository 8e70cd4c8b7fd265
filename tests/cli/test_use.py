"""Commands that use trained runs: predict, evaluate, compare, export, info."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

import jaxode
from jaxode.cli import main as command
from jaxode.cli import process


@pytest.fixture(scope="module")
def runs(trained):
    """Two seeds of an MLP, and an ODENet."""
    return {"mlp-0": trained("mlp"), "mlp-1": trained("mlp", 1), "odenet": trained("odenet")}


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    """The tests' process keeps its own signal handlers and exit functions."""
    monkeypatch.setattr(process, "prepare", lambda: None)


def run(capsys, *words):
    code = command.main([str(word) for word in words])
    return code, *capsys.readouterr()


@pytest.fixture
def digit(tmp_path):
    path = tmp_path / "digit.png"
    image = jaxode.load_dataset("mnist", data="sample").test_images[0, :, :, 0]
    Image.fromarray(image).save(path)
    return path


def test_predict(runs, capsys, digit, tmp_path):
    expected = jaxode.load(runs["odenet"]).predict(digit)
    code, out, err = run(capsys, "predict", runs["odenet"], digit)
    assert (code, out, err) == (0, f"{expected}\n", "")
    table = tmp_path / "p.csv"
    code, out, _ = run(capsys, "predict", runs["odenet"], digit, "--top", 3, "--csv", table)
    assert (code, len(out.split())) == (0, 7)
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert row["class"] == expected.classes[0]
    assert float(row[f"p({row['class']})"]) == pytest.approx(expected.confidence[0], rel=1e-5)


def test_evaluate_at_several_tolerances(runs, capsys, tmp_path):
    figures = tmp_path / "e.json"
    code, out, err = run(
        capsys, "evaluate", runs["odenet"], "--tolerances", "1e-1,1e-3", "--json", figures
    )
    assert (code, err, out.count("\n")) == (0, "", 3)
    first, second = json.loads(figures.read_text())
    assert first["solve"] == {"rtol": 0.1, "atol": 0.1}
    assert first["nfe"] < second["nfe"]
    code, out, _ = run(capsys, "evaluate", runs["odenet"], "--solver", "euler", "--step-size", 0.5)
    assert code == 0
    assert "2.0 evaluations a solve" in out


def test_compare_groups_seeds(runs, capsys, tmp_path):
    files = {name: tmp_path / f"c.{name}" for name in ("markdown", "csv", "picture")}
    flags = [word for name, path in files.items() for word in (f"--{name}", path)]
    code, out, err = run(capsys, "compare", *runs.values(), *flags)
    assert (code, err) == (0, "")
    head, mlp, odenet = out.splitlines()
    assert "test accuracy" in head
    assert mlp.startswith("mlp on mnist")
    assert " ± " in mlp
    assert "0, 1" in mlp
    assert odenet.startswith("odenet on mnist")
    assert " ± " not in odenet
    assert files["markdown"].read_text().count("\n") == 4
    assert len(list(csv.DictReader(files["csv"].read_text().splitlines()))) == 3
    assert files["picture"].read_bytes().startswith(b"\x89PNG")
    code, _, err = run(capsys, "compare", runs["odenet"], "--picture", "x.png", "--metric", "luck")
    assert code == 2
    assert "--metric must be one of epoch" in err


def test_export_and_info(runs, capsys, tmp_path):
    path = tmp_path / "digits.safetensors"
    code, out, _ = run(capsys, "export", runs["mlp-0"], path)
    assert (code, out) == (0, f"wrote {path}, {path.stat().st_size:,} bytes\n")
    code, out, _ = run(capsys, "info", path)
    assert code == 0
    assert "model.model: mlp" in out
    code, out, _ = run(capsys, "info", runs["odenet"], "--json")
    found = json.loads(out)
    assert found["result"]["status"] == "complete"
    assert found["config"]["model"]["model"] == "odenet"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "nothing", "x.png"], "nothing must be a run's directory"),
        (["predict", "RUN", "x.png"], "x.png cannot be read"),
        (["predict"], "the following arguments are required: RUN, INPUT"),
        (["evaluate", "RUN", "--tolerances", "1,x"], "--tolerances must be a number"),
        (["evaluate", "RUN", "--rtol", "1", "--tolerances", "1"], "--rtol and --atol, not both"),
        (["evaluate", "RUN", "--dataset", "fashion"], "did you mean fashion_mnist?"),
        (["export", "RUN", "x.h5"], "path must end in .stablehlo"),
        (["export", "RUN", "x.onnx"], "format onnx needs a fixed step size"),
        (["compare", "nothing"], "nothing is no run"),
        (
            ["info", "nothing"],
            "nothing must be a run's directory or a file of weights: there is none",
        ),
        (["prepare", "mnits"], "did you mean mnist?"),
        (["prepare", "mnist", "--data-dir", "nowhere"], "nowhere is none"),
    ],
)
def test_a_mistake_is_one_line(runs, capsys, words, message):
    code, out, err = run(capsys, *(runs["odenet"] if word == "RUN" else word for word in words))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert err.startswith("jaxode")
