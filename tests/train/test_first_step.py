"""The cost of the first step is reported once, when a run begins."""

from __future__ import annotations

import io

import pytest
from stubs import builder, image_set, run_config, without_pictures

from jaxode.runs import Progress
from jaxode.train import run


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    without_pictures(monkeypatch)


class Watched(Progress):
    """Keeps the messages, and how many batches each compiled call took."""

    def __init__(self, quiet=False):
        super().__init__(quiet, io.StringIO())
        self.calls = []

    def advance(self, batches, **values):
        self.calls.append(batches)

    def first_steps(self):
        return [
            line for line in self.stream.getvalue().splitlines() if line.startswith("first step: ")
        ]


def test_the_first_step_is_reported_block_by_block_and_only_once(tmp_path):
    fresh, further, quiet = Watched(), Watched(), Watched(quiet=True)
    config = run_config(epochs=1)
    run(config, image_set(), tmp_path, progress=fresh, build=builder())
    (line,) = fresh.first_steps()
    assert line.startswith(
        "first step: block 1: 20 function evaluations a forward solve (3 accepted and 0 rejected"
        " steps), block 2: 40 function evaluations a forward solve (6 accepted and 1 rejected"
        " steps), loss "
    )
    assert fresh.calls[0] == 1
    run(run_config(epochs=2), image_set(), tmp_path, progress=further, build=builder())
    assert further.first_steps() == []
    (tmp_path / "quiet").mkdir()
    run(config, image_set(), tmp_path / "quiet", progress=quiet, build=builder())
    assert quiet.first_steps() == []
    assert quiet.calls == fresh.calls
