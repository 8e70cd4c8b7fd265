"""One run on both sides: jaxode's, and torch_ref's with the weights and batches that the export
script writes.
"""

from __future__ import annotations

import json
import shlex

import jax
import pytest

from experiments import mnist

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from scripts import export_for_torch  # noqa: E402
from torch_ref import train  # noqa: E402

RUN = shlex.split(
    "--data sample --limit-train 6 --limit-test 6 --batch-size 6 --epochs 2 --width 4"
    " --precision float64 --stepping torchdiffeq"
)
"""One step an epoch, so that an epoch's metrics are those of a step."""

LOSS = 1e-10
"""Largest difference of losses: rounding, and in the second step what the first update made of it.
"""


@pytest.mark.slow
def test_both_sides_print_the_same_first_step_and_go_on_alike(tmp_path, capsys):
    try:
        assert mnist.main([*RUN, "--out", str(tmp_path / "run")]) == 0
    finally:
        jax.config.update("jax_enable_x64", False)
    (line,) = (
        line for line in capsys.readouterr().err.splitlines() if line.startswith("first step: ")
    )
    assert export_for_torch.main([*RUN, "--batches", "2", "--out", str(tmp_path / "handed")]) == 0
    command = shlex.split(capsys.readouterr().out)
    assert command[:3] == ["python", "-m", "torch_ref.train"]
    assert train.main([*command[3:], "--out", str(tmp_path / "losses.jsonl")]) == 0
    assert capsys.readouterr().err.splitlines()[0] == line
    ours = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    theirs = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in theirs] == pytest.approx(
        [line["loss"] for line in ours], rel=0, abs=LOSS
    )
    assert [line["lr"] for line in theirs] == pytest.approx([line["lr"] for line in ours])
    assert [sum(line["nfe"]) for line in theirs] == [line["nfe_forward_train"] for line in ours]
