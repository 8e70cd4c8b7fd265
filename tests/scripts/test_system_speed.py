"""Training steps of systems beside torchdiffeq's: what is timed does the same, and is printed."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from scripts import system_speed


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(system_speed, "POINTS", 8)
    monkeypatch.setattr(system_speed, "SPIRALS", 2)
    monkeypatch.setattr(system_speed, "TOLERANCE", 1e-2)


def test_a_row_is_printed_and_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(system_speed, "GRADIENTS", {"direct": "replay"})
    flags = ["--rounds=1", "--only=latent ODE", "--json", str(tmp_path / "speed.json")]
    assert system_speed.main(flags) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("latent ODE, direct: ")
    (row,) = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert row["nfe"] > 0
    assert row["ratio"]["median"] == pytest.approx(
        row["milliseconds"]["torchdiffeq"] / row["milliseconds"]["jaxode"]
    )


@pytest.mark.parametrize("change", [{"loss": 5.0}, {"nfe": 1}])
def test_sides_that_differ_are_refused(change, monkeypatch, capsys):
    side = system_speed.Side(lambda: None, 1.0, 26)
    monkeypatch.setattr(system_speed, "latent_odes", lambda _: (side, side._replace(**change)))
    assert system_speed.main(["--rounds=1", "--only=latent ODE"]) == 1
    assert "both sides must" in capsys.readouterr().err


@pytest.mark.slow
def test_a_flow_is_the_same_on_both_sides():
    mine, theirs = system_speed.flows("direct")
    assert mine.loss == pytest.approx(theirs.loss, rel=1e-4)
    assert mine.nfe == theirs.nfe
