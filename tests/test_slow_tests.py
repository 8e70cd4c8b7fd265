"""The list of slow tests names tests that exist."""

from pathlib import Path

from tests.conftest import UNKNOWN

HERE = Path(__file__).parent


def test_every_listed_file_exists():
    lines = (HERE / "slow_tests.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if not (HERE / line.partition("::")[0]).is_file()} == set()
    assert lines == sorted(set(lines))


def test_every_listed_test_exists(request):
    assert request.config.stash.get(UNKNOWN, set()) == set()
