"""Which commit, versions and machine a result names: those that trained it."""

import json
import os
import signal

import pytest
from stubs import builder, image_set, run_config, without_pictures

from jaxode.errors import Stopped
from jaxode.runs import Progress
from jaxode.runs.checkpoint_meta import sealed, unsealed
from jaxode.runs.origins import FACTS, Origins, origins_of
from jaxode.train import run


class StopFirst(Progress):
    """Asks this process to stop before the first step."""

    def begin(self, *args, **values):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def go(tmp_path, monkeypatch):
    """A start under this commit on this day."""
    without_pictures(monkeypatch)

    def start(commit, day, epochs, progress=None):
        monkeypatch.setattr("jaxode.train.records.commit", lambda: commit)
        monkeypatch.setattr("jaxode.runs.origins.today", lambda: day)
        return run(
            run_config(epochs=epochs), image_set(), tmp_path, build=builder(), progress=progress
        )

    return start


def dated(result):
    """Commits and days, the last first."""
    return [(one["commit"], one["date"]) for one in (result, *reversed(result["earlier_origins"]))]


def test_a_result_names_every_start_that_trained_and_no_other(go, tmp_path):
    with pytest.raises(Stopped):
        go("x", "day 0", 1, StopFirst(quiet=True))
    assert dated(go("a", "day 1", 1)) == [("a", "day 1")]
    (tmp_path / "images.npz").unlink()
    assert dated(go("x", "day 2", 1)) == [("a", "day 1")]  # nothing to train
    with pytest.raises(Stopped):
        go("x", "day 3", 2, StopFirst(quiet=True))
    assert dated(json.loads((tmp_path / "result.json").read_text())) == [("a", "day 1")]
    (tmp_path / "result.json").unlink()  # the checkpoints know
    result = go("b", "day 4", 2)
    assert dated(result) == [("b", "day 4"), ("a", "day 1")]
    assert set(result["earlier_origins"][0]) == {*FACTS, "date"}
    assert dated(go("b", "day 5", 3)) == [("b", "day 5"), ("a", "day 1")]
    assert dated(go("a", "day 6", 4)) == [("a", "day 6"), ("b", "day 5")]


def test_a_result_names_its_origins_unless_it_is_damaged():
    facts = dict.fromkeys(FACTS, "here")
    first = {**facts, "commit": "a", "date": "day 1"}
    second = {**facts, "commit": "b", "date": "day 2"}
    assert origins_of({**second, "loss": 0.1, "earlier_origins": [first]}) == [first, second]
    assert origins_of({**second, "loss": 0.1}) == [second]  # of the first version
    for earlier in (5, None, [5], [{"commit": "a"}]):
        assert origins_of({**second, "earlier_origins": earlier}) == []
    assert origins_of({"status": "running"}) == []
    origins = Origins({**facts, "commit": "c"})
    assert origins.result()["commit"] == "c"
    origins.all = [first, second]
    assert origins.result() == {**second, "earlier_origins": [first]}


def test_the_origins_that_a_checkpoint_lacks_come_from_the_result(go, tmp_path):
    go("a", "day 1", 1)
    (meta,) = tmp_path.glob("checkpoints/*/meta.json")
    content = unsealed(meta.read_text())
    del content["origins"]
    meta.write_text(sealed(content))
    assert dated(go("x", "day 2", 1)) == [("a", "day 1")]
