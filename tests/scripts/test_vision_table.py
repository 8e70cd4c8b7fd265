"""The comparison of backbones and encoders, with tiny models: rows, scores, runs, requests."""

import json
from dataclasses import replace
from types import SimpleNamespace

import jax
import pytest
from flax import nnx

from jaxode.checks import ConfigError
from scripts import vision_table
from scripts.systems.rows import DEPTH, DETECTION
from scripts.vision import cases as cases_module
from scripts.vision import measure, report
from scripts.vision.cases import PUBLISHED, cases, noise, same, with_runs

TINY = {"width": 8, "decoder": 32, "image_height": 32, "image_width": 32}


@pytest.fixture
def two_encoders(monkeypatch):
    """The ODENet of two fixed steps and its twin, of 8 channels."""
    first, second = DEPTH.rows[:2]
    rows = (replace(first, cpu={"solver": "euler", "step_size": 0.5}), second)
    monkeypatch.setitem(cases_module.SYSTEM_TABLES, "depth", replace(DEPTH, rows=rows))
    monkeypatch.setitem(PUBLISHED, "depth", {})
    monkeypatch.setitem(vision_table.CHANGES, "depth", TINY)


def test_every_case_can_be_built():
    labels = []
    for system, count in (("detection", 6), ("depth", 4)):
        found = list(cases(system))
        assert len(found) == count
        for case in found:
            nnx.eval_shape(case.build)
        labels += [case.label for case in found]
    assert len(set(labels)) == len(labels)
    assert [case.sizes.width for case in cases("detection")] == [64, 64, 16, 16, 64, 64]
    assert [case.row for case in cases("detection")][:4] == list(DETECTION.rows)


def test_a_comparison_is_written(two_encoders, tmp_path, capsys):
    flags = ["--only=depth", "--rounds=2", "--batches=1,2", "--out", str(tmp_path)]
    assert vision_table.main(flags) == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / report.RESULTS).read_text())
    assert found["origin"]["versions"]["jax"] == jax.__version__
    ode, twin = found["systems"]["depth"]["rows"]
    work = ode["multiply_adds"]
    assert ode["batches"]["1"]["evaluations"] == [2] * 4
    assert work["total"] == work["outside_fields"] + 2 * sum(work["of_an_evaluation"])
    assert twin["multiply_adds"]["total"] == twin["multiply_adds"]["outside_fields"]
    for row in (ode, twin):
        one, two = (row["batches"][batch] for batch in "12")
        assert one["megabytes"] < two["megabytes"]
        assert one["megabytes"] > 4e-6 * row["parameters"]
        times = one["milliseconds"]
        assert 0 < times["low"] <= times["median"] <= times["high"]
    text = (tmp_path / report.TABLES).read_text(encoding="utf-8")
    assert text.strip() in printed
    assert "| 2 + 2 + 2 + 2 |" in text
    assert f"| {ode['parameters']:,} |" in text


def test_a_document_of_all_systems(tmp_path, capsys, monkeypatch):
    """With numbers in the place of measurements."""

    def facts(found, pictures, batch, rounds):
        times = {"median": 2.5, "low": 2.0, "high": 3.0}
        row = {"milliseconds": times, "megabytes": 10.0 * batch, "evaluations": []}
        return {case.label: row for case in found}

    def size(case, pictures):
        return {
            "parameters": 1234,
            "multiply_adds": {"outside_fields": 7e9, "of_an_evaluation": []},
        }

    monkeypatch.setattr(vision_table, "timed", facts)
    monkeypatch.setattr(vision_table, "size_and_work", size)
    assert vision_table.main(["--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    wide = "| 1,234 | – | 7.00 | 2.5 (2.0 to 3.0) | 2.5 (2.0 to 3.0) | 10 | 160 | "
    assert sum(wide in line for line in lines) == 10
    ode = next(line for line in lines if line.startswith(f"| {DETECTION.rows[0].label} |"))
    assert not ode.endswith("| not trained | – | – | – |")
    full = next(line for line in lines if line.startswith("| VGG-16 to conv4_3, as published |"))
    assert full.endswith("| not trained | – | – | – |")


def test_scores_are_those_of_the_record(tmp_path):
    first, *_, last = cases("detection")
    record = json.loads(
        (vision_table.FOLDERS["detection"] / "records" / "bccd_odenet.json").read_text()
    )
    scores = vision_table.scores_of(first, cases_module.Path())
    assert scores["ap50"] == f"{record['result']['detection']['ap50']:.3f}"
    assert vision_table.scores_of(first, tmp_path) is None
    assert vision_table.scores_of(last, cases_module.Path()) is None


def test_a_run_gives_its_model_its_parameters(monkeypatch, tmp_path):
    found = list(cases("depth"))
    sizes = replace(found[0].sizes, mean_log_depth=0.7)
    run = SimpleNamespace(sizes=sizes, config=SimpleNamespace(solve="its own"))
    monkeypatch.setattr(cases_module, "TrainedDepth", SimpleNamespace)
    monkeypatch.setattr(cases_module, "TrainedDetector", SimpleNamespace)
    monkeypatch.setattr(cases_module, "load", lambda directory: run)
    first, *others = with_runs(found, [tmp_path])
    assert (first.trained, first.solve, first.sizes) == (run, "its own", sizes)
    assert others == found[1:]
    run.sizes = replace(sizes, width=16)
    assert not same(run.sizes, sizes)
    with pytest.raises(ConfigError, match="must be a run of a model in the table, and is of none"):
        with_runs(found, [tmp_path])


def test_tolerances_are_of_adaptive_solves(monkeypatch):
    asked = []

    def evaluate(model, data, **changes):
        asked.append(changes)
        return SimpleNamespace(nfe=14.0, metrics={"rel": 0.3})

    monkeypatch.setattr(measure, "evaluate", evaluate)
    case = next(cases("depth"))._replace(trained="a model")
    (line,) = measure.by_tolerance(case, "DIR", [0.1])
    assert asked == [{"rtol": 0.1, "atol": 0.1, "solver": "dopri5", "step_size": None}]
    assert line == {"tolerance": 0.1, "evaluations": 14.0, "scores": {"rel": 0.3}}
    case = next(cases("detection"))._replace(trained="a model")
    measure.by_tolerance(case, "DIR", [0.01])
    assert asked[1:] == [{"rtol": 0.01, "atol": 0.01}]


def test_lines_by_tolerance_and_untrained_models():
    lines = [
        {
            "tolerance": 0.1,
            "evaluations": 14.0,
            "scores": dict.fromkeys(("rel", "rms", "delta1"), 0.5),
        }
    ]
    assert "| 0.1 | 14.0 | 0.5000 | 0.5000 | 0.5000 |" in report.tolerances(
        "odenet", "depth", lines
    )
    case = next(cases("detection", {"rows": 32, "columns": 64}))
    assert noise(case, 3).images.shape == (3, 32, 64, 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batches=1,x"], "--batches must be"),
        (["--tolerances=0"], "--tolerances must be"),
        (["--only=density"], "--only must be"),
        (["--runs", "nowhere"], "nowhere must be a run with detector.json or depth.json"),
        (["--only=detection", "--bccd", "nowhere"], "nowhere"),
    ],
)
def test_wrong_requests_end_in_one_line(flags, message, tmp_path, capsys):
    assert vision_table.main([*flags, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
