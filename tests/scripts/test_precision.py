"""The comparison of precisions: its rows, its table, its refusals."""

from __future__ import annotations

import json

import pytest
from stubs import without_pictures

from scripts import precision

TINY = [
    "--model=mlp",
    "--data=sample",
    "--limit-train=32",
    "--limit-test=16",
    "--batch-size=16",
    "--epochs=1",
]


def test_runs_start_alike_and_the_differences_are_measured(tmp_path, capsys, monkeypatch):
    without_pictures(monkeypatch)
    assert (
        precision.main(
            [*TINY, "--precisions", "float64", "float32", "float16", "--out", str(tmp_path)]
        )
        == 0
    )
    exact, single, half = json.loads((tmp_path / "precision.json").read_text())
    assert [row["precision"] for row in (exact, single, half)] == ["float64", "float32", "float16"]
    assert exact["logits_error"] == exact["gradient_error"] == 0
    assert 0 < single["logits_error"] < 1e-6
    assert 0 < single["gradient_error"] < 1e-5
    assert exact["loss"] == pytest.approx(
        single["loss"], rel=1e-5
    )  # the same images, the same parameters
    assert exact["loss"] != single["loss"]
    assert (exact["skipped_steps"], half["skipped_steps"]) == (None, 0)
    table = (tmp_path / "precision.md").read_text().splitlines()
    rows = [line.split("|")[1:] for line in table if line.startswith("| ")]
    assert len({len(row) for row in rows}) == 1
    assert [row[0].strip() for row in rows] == ["precision", "float64", "float32", "float16"]
    assert not (tmp_path / ".unfinished.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "float16"], "--precision must be left out"),
        (["--precisions", "half"], "--precisions must be one of"),
        (["--seeds", "-1"], "--seeds must be"),
        (["--gradient", "backsolve"], "precision float16 scales the gradient"),
    ],
)
def test_a_wrong_request_is_one_line(words, message, tmp_path, capsys):
    assert precision.main([*words, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
