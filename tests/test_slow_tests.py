"""The list of slow tests names files that exist; pytest's collection checks the tests in them."""

from pathlib import Path

HERE = Path(__file__).parent


def test_every_listed_file_exists():
    lines = (HERE / "slow_tests.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if not (HERE / line.partition("::")[0]).is_file()} == set()
    assert lines == sorted(set(lines))
