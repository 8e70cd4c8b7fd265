"""What the news of a lost process does to result.json."""

import json
import threading

import pytest
from stubs import run_config

from jaxode.distributed.process_group import ProcessGroup
from jaxode.runs import run_directory as module
from jaxode.runs.files import write_json
from jaxode.runs.origins import Origins
from jaxode.runs.run_directory import RunDirectory
from jaxode.runs.run_writer import RunWriter
from jaxode.tasks import Classification


def ledger(out, index, *, opened=True):
    """As it is while the run trains, less what writes nothing here."""
    books = object.__new__(RunDirectory)
    books.cluster, books.opened, books.writing = ProcessGroup(index, 3), opened, threading.Lock()
    books.recorder = RunWriter(out, run_config(), {}, Origins({}), Classification(10))
    return books


def result(out):
    found = json.loads((out / "result.json").read_text())
    return found["status"], found.get("error"), found["epochs"]


@pytest.mark.parametrize(
    ("index", "lost", "written"),
    [(0, 1, True), (1, 0, True), (2, 0, True), (1, 2, False)],
    ids=["process 0 lives", "the next of the living", "any of the living", "process 0 does it"],
)
def test_a_loss_turns_running_into_failed(tmp_path, index, lost, written):
    write_json(tmp_path / "result.json", {"status": "running", "epochs": 7})
    ledger(tmp_path, index).record_loss(lost, f"process {lost} has died")
    expected = ("failed", f"process {lost} has died", 7) if written else ("running", None, 7)
    assert result(tmp_path) == expected


@pytest.mark.parametrize("status", ["complete", "stopped", "failed"])
@pytest.mark.parametrize("index", [0, 1])
def test_a_run_that_has_come_to_its_end_stays_what_it_is(tmp_path, status, index):
    write_json(tmp_path / "result.json", {"status": status, "epochs": 7})
    ledger(tmp_path, index).record_loss(0, "process 0 has died")
    assert result(tmp_path) == (status, None, 7)


def test_before_the_run_has_begun_nothing_is_written(tmp_path):
    write_json(tmp_path / "result.json", {"status": "running", "epochs": 7})
    ledger(tmp_path, 0, opened=False).record_loss(1, "process 1 has died")
    assert result(tmp_path) == ("running", None, 7)


def test_nothing_is_written_over_the_news(tmp_path, monkeypatch):
    """The main thread may be about to write "running" when another thread hears of the loss."""
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.2)
    write_json(tmp_path / "result.json", {"status": "running", "epochs": 7})
    books = ledger(tmp_path, 0)
    with (
        books.writing
    ):  # a file is being written, and the disk hangs: the news does not wait for it
        books.record_loss(1, "process 1 has died")
    assert result(tmp_path)[0] == "failed"
    books.record_loss(1, "process 1 has died")
    assert not books.writing.acquire(blocking=False)
