"""The primer's numbers, each against its formula; its files."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from experiments import primer
from experiments.dynamics import growth, relaxation, residual, verhulst


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Numbers and directory of one run of fewer solves."""
    out = tmp_path_factory.mktemp("primer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth, "STEPS", (1.0,))
        patch.setattr(relaxation, "FIXED", ("midpoint",))
        patch.setattr(relaxation, "STEPS", (0.5, 0.25))
        patch.setattr(relaxation, "TOLERANCES", (1e-6,))
        patch.setattr(verhulst, "TIMES", np.linspace(0, 4, 5))
        for name in ("BLOCKS", "SHOWN"):
            patch.setattr(residual, name, (1, 8))
        assert primer.main(["--out", str(out), "--quiet"]) == 0
    return json.loads((out / "primer.json").read_text()), out


def test_euler_doubles(done):
    (found,) = done[0]["euler"]["euler"]
    assert found == {"step_size": 1.0, "states": [1.0, 2.0, 4.0, 8.0, 16.0]}
    np.testing.assert_allclose(
        done[0]["euler"]["exact"], [math.exp(k) for k in range(5)], rtol=1e-15
    )


def test_errors_are_those_of_the_formulas(done):
    numbers, end = done[0]["relaxation"], 3 - math.exp(-0.5)
    assert numbers["exact_at_1"] == pytest.approx(end, rel=1e-15)
    _, row = numbers["fixed"]
    assert row["error"] == pytest.approx(abs(3 - (1 - 1 / 8 + 1 / 128) ** 4 - end), rel=1e-10)
    assert (row["solver"], row["step_size"], row["nfe"]) == ("midpoint", 0.25, 8)
    (adaptive,) = numbers["adaptive"]
    assert adaptive["error"] < 1e-5
    assert numbers["euler_step_1"] == [3 - 0.5**k for k in range(9)]


def test_populations_tend_to_the_stable_equilibrium(done):
    numbers = done[0]["verhulst"]
    assert numbers["equilibria"] == [
        {"y": 0.0, "derivative": 1.0, "stable": False},
        {"y": 2.0, "derivative": -1.0, "stable": True},
    ]
    assert numbers["largest_error"] < 1e-6
    for start, end in zip(numbers["starts"], numbers["states_at_the_end"], strict=True):
        assert end == pytest.approx(2 * start / (start + (2 - start) * math.exp(-4)), rel=1e-6)


def test_residual_blocks_are_eulers_steps(done):
    one, eight = done[0]["residual"]["rows"]
    assert (one["blocks"], eight["blocks"]) == (1, 8)
    for row in (one, eight):
        assert row["distance_to_euler"] < 1e-14
    assert 6 < one["distance_to_flow"] / eight["distance_to_flow"] < 12


def test_the_document_shows_every_picture(done):
    _, out = done
    text = (out / "primer.md").read_text()
    names = ("euler", "relaxation", "verhulst", "residual")
    for name in names:
        assert f"({name}.png)" in text
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "| Euler, h = 1 | 1 | 2 | 4 | 8 | 16 |" in text
    assert f"python -m experiments.primer --out {out}" in text
    assert len(list(out.iterdir())) == len(names) + 2


def test_an_unknown_flag_is_one_line(capsys):
    assert primer.main(["sine"]) == 2
    assert (
        capsys.readouterr().err
        == "python -m experiments.primer: error: unknown argument sine: see --help\n"
    )
