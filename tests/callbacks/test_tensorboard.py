"""Event files read back: every step and epoch once, also after a kill and a resume."""

from __future__ import annotations

import sys

import pytest
from lines_fitted import CONFIG, StopAfter
from tensorboardX.proto.event_pb2 import Event

from jaxode.callbacks import TensorBoard
from jaxode.callbacks.event_files import EVENT_FILES, records
from jaxode.checks import ConfigError
from jaxode.errors import Stopped


def scalars(directory):
    """(name, number) → values in the order written, of all event files."""
    found = {}
    for path in sorted(directory.glob(EVENT_FILES)):
        with open(path, "rb") as file:
            for _, data in records(file):
                event = Event.FromString(data)
                for value in event.summary.value:
                    found.setdefault((value.tag, event.step), []).append(value.simple_value)
    return found


def numbers(found, tag):
    return sorted(number for name, number in found if name == tag)


def test_steps_and_epochs_are_written(fit_line, told, tmp_path):
    history = fit_line(TensorBoard(), told, out=tmp_path / "run").history
    found = scalars(tmp_path / "run" / "tensorboard")
    assert numbers(found, "step/loss") == list(range(1, 16))
    for step in told.steps:
        for name in ("loss", "lr", "gradient_norm"):
            (value,) = found[f"step/{name}", step.step]
            assert value == pytest.approx(getattr(step, name), rel=1e-6)
    assert numbers(found, "test_rmse") == [1, 2, 3]
    assert found["test_rmse", 2] == pytest.approx([history[1]["test_rmse"]])


def test_a_resumed_run_writes_no_step_twice(fit_line, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        fit_line(TensorBoard(), StopAfter(8), out=out)
    done = numbers(scalars(out / "tensorboard"), "step/loss")
    assert 8 <= done[-1] < 15
    # As if it had been killed later than its checkpoint.
    library = pytest.importorskip("tensorboardX")
    writer = library.SummaryWriter(str(out / "tensorboard"), filename_suffix=".late")
    for step in range(done[-1] + 1, 15):
        writer.add_scalar("step/loss", -1.0, step)
    writer.add_scalar("test_rmse", -1.0, 2)
    writer.add_scalar("test_rmse", -1.0, 3)
    writer.close()
    fit_line(TensorBoard(), out=out, resume=True)
    found = scalars(out / "tensorboard")
    assert numbers(found, "step/loss") == list(range(1, 16))
    assert numbers(found, "test_rmse") == [1, 2, 3]
    assert {len(values) for values in found.values()} == {1}
    assert all(value >= 0 for (name, _), (value,) in found.items() if name != "step/lr")


def test_epochs_before_the_logger_are_added(fit_line, tmp_path):
    out = tmp_path / "run"
    fit_line(out=out, config=CONFIG.replaced(epochs=1, schedule="constant"))
    more = CONFIG.replaced(epochs=2, schedule="constant")
    fit_line(TensorBoard(), out=out, config=more, resume=True)
    found = scalars(out / "tensorboard")
    assert numbers(found, "test_rmse") == [1, 2]
    assert numbers(found, "step/loss") == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("rest", [b"", b"\xff" * 40])
def test_a_damaged_end_of_a_file_is_left_out(fit_line, tmp_path, rest):
    out, config = tmp_path / "run", CONFIG.replaced(schedule="constant")
    fit_line(TensorBoard(), out=out, config=config.replaced(epochs=1))
    (path,) = (out / "tensorboard").glob(EVENT_FILES)
    path.write_bytes(path.read_bytes()[:-9] + rest)
    fit_line(TensorBoard(), out=out, config=config.replaced(epochs=2), resume=True)
    found = scalars(out / "tensorboard")
    assert numbers(found, "step/loss") == list(range(1, 11))
    assert {len(values) for values in found.values()} == {1}


def test_events_are_not_written_through_a_symlink(fit_line, tmp_path):
    other, link = tmp_path / "other", tmp_path / "link"
    other.mkdir()
    (other / "events.out.tfevents.1.host").write_text("somebody's")
    link.symlink_to(other)
    with pytest.raises(OSError, match="symbolic link"):
        fit_line(TensorBoard(link))
    assert (other / "events.out.tfevents.1.host").read_text() == "somebody's"


def test_a_run_in_memory_needs_a_directory(fit_line, tmp_path):
    with pytest.raises(ConfigError, match="TensorBoard must be given a directory"):
        fit_line(TensorBoard())
    fit_line(TensorBoard(tmp_path / "events"), config=CONFIG.replaced(epochs=1))
    assert numbers(scalars(tmp_path / "events"), "test_rmse") == [1]


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ConfigError, match=r"pip install 'jaxode\[tensorboard\]'"):
        TensorBoard()
