"""The flags of every script, without anything behind them."""

import importlib
from pathlib import Path

import pytest
from parsers import check

HERE = Path(__file__).parents[2] / "scripts"

COMMANDS = [path.stem for path in HERE.glob("*.py") if "__main__" in path.read_text()] + [
    "fuzzing.__main__",
    "claims.__main__",
]


def test_there_are_commands():
    assert {"benchmark", "reproduce", "export_for_torch", "prepare_data"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_number_has_a_range_and_every_mistake_one_line(name, capsys):
    check(importlib.import_module(f"scripts.{name}").build_parser(), capsys)
