"""The table has a row a variant; no figure is asserted."""

from __future__ import annotations

import pytest

from jaxode.config import ModelConfig, SolveConfig
from scripts import step_time


def test_the_table_names_every_variant(monkeypatch, capsys):
    monkeypatch.setattr(step_time, "VARIANTS", {"small": (ModelConfig("resnet", 1, 4), SolveConfig())})
    assert step_time.main(["--batch-size", "2", "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["variant", "small"]


@pytest.mark.parametrize("argv", [["--batch-size", "0"], ["--repeats", "0"]])
def test_zero_is_refused(argv):
    with pytest.raises(SystemExit) as stop:
        step_time.main(argv)
    assert stop.value.code == 2
