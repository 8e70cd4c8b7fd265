"""What the loss of a process does to result.json."""

import json
import threading

import pytest
from stubs import run_config

from jaxode.distributed.process_group import ProcessGroup
from jaxode.runs import run_writer
from jaxode.runs.files import write_json
from jaxode.runs.origins import Origins
from jaxode.runs.record_files import RecordFiles
from jaxode.runs.run_writer import RunWriter
from jaxode.tasks import Classification


def writer(out, index, *, started=True):
    """As it is while the run trains, less what writes nothing here."""
    writer = object.__new__(RunWriter)
    writer.cluster, writer.started = ProcessGroup(index, 3), started
    writer.writing = threading.Lock()
    writer.files = RecordFiles(out, run_config(), {}, Origins({}), Classification(10))
    return writer


def result(out):
    content = json.loads((out / "result.json").read_text())
    return content["status"], content.get("error"), content["epochs"]


@pytest.mark.parametrize(
    ("index", "lost", "written"),
    [(0, 1, True), (1, 0, True), (2, 0, True), (1, 2, False)],
    ids=["process 0 lives", "the next of the living", "any of the living", "process 0 does it"],
)
def test_a_loss_turns_running_into_failed(tmp_path, index, lost, written):
    write_json(tmp_path / "result.json", {"status": "running", "epochs": 7})
    writer(tmp_path, index).record_lost_process(lost, f"process {lost} has died")
    expected = ("failed", f"process {lost} has died", 7) if written else ("running", None, 7)
    assert result(tmp_path) == expected


@pytest.mark.parametrize("status", ["complete", "stopped", "failed"])
@pytest.mark.parametrize("index", [0, 1])
def test_a_run_that_has_come_to_its_end_stays_what_it_is(tmp_path, status, index):
    write_json(tmp_path / "result.json", {"status": status, "epochs": 7})
    writer(tmp_path, index).record_lost_process(0, "process 0 has died")
    assert result(tmp_path) == (status, None, 7)


def test_before_the_run_has_begun_nothing_is_written(tmp_path):
    write_json(tmp_path / "result.json", {"status": "running", "epochs": 7})
    writer(tmp_path, 0, started=False).record_lost_process(1, "process 1 has died")
    assert result(tmp_path) == ("running", None, 7)


def test_nothing_is_written_over_the_news(tmp_path, monkeypatch):
    """The main thread may be about to write "running" when another thread hears of the loss."""
    monkeypatch.setattr(run_writer, "LOCK_SECONDS", 0.2)
    write_json(tmp_path / "result.json", {"status": "running", "epochs": 7})
    own = writer(tmp_path, 0)
    with own.writing:  # a file is being written, and the disk hangs: the news does not wait for it
        own.record_lost_process(1, "process 1 has died")
    assert result(tmp_path)[0] == "failed"
    own.record_lost_process(1, "process 1 has died")
    assert not own.writing.acquire(blocking=False)
