"""Training steps of detectors beside torchvision's: what is timed is the same, and is printed."""

import importlib.util
import json
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")
if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)

from scripts import detector_speed
from scripts.detector_speed import GRID, OURS, PYTHON, Side


@pytest.fixture(autouse=True)
def small(monkeypatch):
    tiny = {"width": 8, "hidden": 8, "blocks": 1, "rows": 32, "columns": 48, "proposals": 20}
    sizes = replace(detector_speed.SIZES, **tiny, boxes=16, anchors="12,24")
    monkeypatch.setattr(detector_speed, "SIZES", sizes)
    monkeypatch.setattr(detector_speed, "OBJECTS", 3)


def test_all_sides_are_timed_printed_and_written(tmp_path, capsys):
    file = tmp_path / "speed.json"
    assert detector_speed.main(["--rounds=2", "--batch-size=1", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "ms a step" in printed
    assert printed.count("(the rival)") == 1
    found = json.loads(file.read_text())
    assert found["losses"][PYTHON] == pytest.approx(found["losses"][GRID], rel=0.2)
    assert found["losses"][OURS] == pytest.approx(found["losses"][PYTHON], rel=0.3)
    assert set(found["milliseconds"]) == {OURS, PYTHON, GRID}
    assert found["milliseconds"][found["rival"]] == min(
        found["milliseconds"][name] for name in (PYTHON, GRID)
    )
    for ratio in found["ratios"].values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    assert found["origin"]["versions"]["torchvision"]


def test_sides_that_differ_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(detector_speed, "our_side", lambda *_: Side(lambda: None, 99.0))
    assert detector_speed.main(["--rounds=1", "--batch-size=1"]) == 1
    assert "all sides must have about the same loss" in capsys.readouterr().err
