"""A thousand hostile inputs from one seed: each gets one clear line or is rightly accepted."""

import pytest

pytest.importorskip("torch")

from hostile.answers import RUNS, SURFACES, check


def test_there_are_a_thousand():
    assert sum(count for _, count in SURFACES.values()) >= 1000


@pytest.mark.parametrize("surface", [name for name in SURFACES if name not in RUNS])
def test_every_input_is_answered_as_it_should_be(surface, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "data"))
    check(surface, tmp_path)
