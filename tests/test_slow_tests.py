"""The list of slow tests names tests that exist."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES: dict[str, set[str]] = {}
for line in (HERE / "slow_tests.txt").read_text(encoding="utf-8").splitlines():
    path, _, name = line.partition("::")
    FILES.setdefault(path, set()).add(name.partition("[")[0])


@pytest.mark.parametrize("path", sorted(FILES))
def test_a_listed_function_is_in_its_file(path):
    source = (HERE / path).read_text(encoding="utf-8")
    assert {name for name in FILES[path] if f"def {name}(" not in source} == set()
