"""Runs with one damaged file: a resume mends it, ignores it, or refuses in one line."""

import pytest

pytest.importorskip("torch")

from hostile.answers import RUNS, check

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.mark.parametrize("surface", RUNS)
def test_every_damaged_run_is_answered_as_it_should_be(surface, tmp_path):
    check(surface, tmp_path)
