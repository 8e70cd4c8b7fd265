"""A thousand hostile inputs from one seed: each gets one clear line or is rightly accepted."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from scripts.attack.inputs import SURFACES, attack
from scripts.attack.report import faults

SEED = 0


def test_there_are_a_thousand():
    assert sum(count for _, count in SURFACES.values()) >= 1000


@pytest.mark.parametrize("surface", SURFACES)
def test_every_input_is_answered_as_it_should_be(surface, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "data"))
    findings = attack(surface, SEED, tmp_path)
    assert len(findings) == SURFACES[surface][1]
    assert faults({surface: findings}) == []
    assert len({finding.answer for finding in findings}) == 2  # both a clear line and an acceptance occur
