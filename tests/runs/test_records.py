"""Small parts of the records: files, figures, pictures, progress, pace, provenance, locks."""

import io
import json
import math
import os
import resource
from pathlib import Path

import pytest
from stubs import run_config

from jaxode.checks import ConfigError
from jaxode.runs import files
from jaxode.runs.files import count_lines, make_writable, write_json, write_whole
from jaxode.runs.origins import Origins
from jaxode.runs.progress import Progress, epoch_line
from jaxode.runs.provenance import LIBRARIES, commit, versions
from jaxode.runs.record_files import RecordFiles
from jaxode.runs.summary import settings_of_result, summary
from jaxode.tasks import Classification, Regression
from jaxode.train.pace import FIRST_ROWS, Pace


def record(epoch, accuracy, nfe=26.0):
    return {
        "epoch": epoch,
        "loss": 1 / epoch,
        "test_loss": 1.1 / epoch,
        "train_loss": 1.0,
        "train_accuracy": accuracy,
        "test_accuracy": accuracy,
        "nfe_forward": nfe,
        "nfe_per_block": nfe and [nfe],
        "nfe_forward_train": nfe,
        "accepted": 4.0,
        "rejected": 0.0,
        "lr": 0.1,
        "images_per_second": 100.0 * epoch,
        "train_seconds": 2.0,
        "eval_seconds": 1.0,
        "compile_seconds": 3.0 if epoch == 1 else 0.0,
    }


TASK = Classification(10)
HISTORY = [record(1, 0.5), record(2, 0.75), record(3, 0.75), record(4, 0.7)]


def test_a_summary_has_the_last_the_best_and_the_means():
    found = summary(TASK, HISTORY)
    assert (
        found["epochs"],
        found["test_accuracy"],
        found["best_epoch"],
        found["best_test_accuracy"],
    ) == (
        4,
        0.7,
        2,
        0.75,
    )
    assert (
        found["train_seconds_per_epoch"],
        found["compile_seconds"],
        found["images_per_second"],
    ) == (2, 3, 250)
    assert set(summary(TASK, [])) == set(found)


def test_a_task_determines_the_best_epoch_and_the_values_of_a_result():
    history = [record(number, 0.5) | {"test_rmse": rmse} for number, rmse in ((1, 2.0), (2, 1.5))]
    found = summary(Regression(), history)
    assert (found["best_epoch"], found["best_test_rmse"], found["test_rmse"]) == (2, 1.5, 1.5)
    assert "test_accuracy" not in found


def test_models_without_an_ode_have_no_solver_in_their_result():
    assert settings_of_result(run_config())["solver"] == "dopri5"
    assert settings_of_result(run_config().replaced(augment_dims=3))["augment_dims"] == 3
    for changes in ({"model": "resnet"}, {"blocks": 0}):
        result = settings_of_result(run_config().replaced(**changes))
        assert (result["solver"], result["augment_dims"]) == (None, None)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "ODENet, 2 blocks, dopri5"),
        ({"blocks": 1, "augment_dims": 5}, "ODENet, 1 block, 5 augmented, dopri5"),
        ({"blocks": 0}, "ODENet, 0 blocks"),
        ({"model": "resnet", "blocks": 1}, "ResNet, 1 block"),
        ({"model": "mlp"}, "MLP"),
    ],
)
def test_the_title_names_the_model(changes, title, tmp_path):
    records = RecordFiles(
        tmp_path, run_config().replaced(**changes), {"train_images": 2000}, Origins({}), TASK
    )
    assert records.title() == f"{title} on mnist, 2,000 training images"


def test_settings_that_could_not_be_read_again_are_not_written(tmp_path):
    records = RecordFiles(
        tmp_path, run_config().replaced(data_dir="data\udcff"), {}, Origins({}), TASK
    )
    with pytest.raises(
        ConfigError, match=r"settings: data\.data_dir must be text, got 'data\\udcff'"
    ):
        records.write_config()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": math.nan})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(OSError, match="no"):
        write_whole(tmp_path / "no" / "x", "text")
    assert [item.name for item in tmp_path.iterdir()] == ["x.json"]


def test_what_somebody_has_put_in_the_way_is_neither_followed_nor_changed(tmp_path, monkeypatch):
    victim, tokens = tmp_path / "victim", iter(("guessed", "guessed", "other"))
    victim.write_text("mine")
    for name in (".x.json.unfinished", ".x.json.unfinished-guessed"):
        (tmp_path / name).symlink_to(victim)
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: next(tokens))
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "x.json", "text")
    (tmp_path / ".x.json.unfinished-guessed").unlink()
    (tmp_path / ".x.json.unfinished-guessed").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "x.json", "text")
    write_whole(tmp_path / "x.json", "text")
    assert (tmp_path / "x.json").read_text() == "text"
    assert victim.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "link.json").symlink_to(victim)
    monkeypatch.undo()
    write_whole(tmp_path / "link.json", "text")
    assert not (tmp_path / "link.json").is_symlink()
    assert victim.read_text() == "mine"


def test_a_file_has_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "x", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_file_that_may_not_grow_is_named_and_stays_as_it_was(tmp_path, size):
    """A real refusal of the system, below and above what is buffered."""
    write_whole(tmp_path / "x", "text")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_whole(tmp_path / "x", bytes(size))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "text"


def test_a_file_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda file: done.append("fsync") or fsync(file))
    monkeypatch.setattr(
        files.os, "replace", lambda *paths: done.append("replace") or replace(*paths)
    )
    write_whole(tmp_path / "x", "text")
    assert done == ["fsync", "replace"]


def test_lines_are_counted_to_the_last_unfinished_one(tmp_path):
    for content, lines in ((b"", 0), (b"a\nb\n", 2), (b"a\nb", 2), (b"\n", 1), (b"\xff\r\n", 1)):
        (tmp_path / "x").write_bytes(content)
        assert count_lines(tmp_path / "x") == lines
    os.mkfifo(tmp_path / "fifo")
    assert (
        count_lines(tmp_path / "fifo")
        == count_lines(tmp_path / "none")
        == count_lines(tmp_path)
        == 0
    )


def test_a_directory_is_tried_before_it_is_used(tmp_path):
    make_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make_writable(tmp_path / "file" / "run")


def test_chunks_take_about_the_time_they_should():
    pace = Pace(target=2.0)
    assert pace.rows(100) == FIRST_ROWS
    assert pace.rows(1) == 1
    pace.measured(2, 1.0)
    assert pace.rows(100) == 4
    assert pace.rows(3) == 3
    pace.measured(4, 100.0)
    assert pace.rows(100) == 1
    pace.measured(1, 0.0)
    assert pace.rows(100) == 100


def test_progress_is_one_line_an_epoch_where_there_is_no_terminal():
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress.begin("epoch 1", 10)
    progress.advance(10, loss="1")
    progress.say(epoch_line(HISTORY[1], 4, TASK.progress_text(HISTORY[1])))
    progress.end()
    (line,) = stream.getvalue().splitlines()
    assert line.startswith(
        "epoch 2/4  loss 0.5000  train 75.00 %  test 75.00 %  nfe train 26.0 test 26.0"
    )


def test_quiet_leaves_only_warnings():
    stream = io.StringIO()
    progress = Progress(quiet=True, stream=stream)
    progress.say("no")
    progress.warn("yes")
    assert stream.getvalue() == "yes\n"


def test_versions_name_every_library():
    assert set(versions()) == {"python", *LIBRARIES}
    assert all(versions()[name] for name in ("python", "jax", "flax", "diffrax", "numpy"))


def test_a_checkout_has_a_commit():
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("the tests do not run in a checkout")
    assert len(commit(root).removesuffix("-dirty")) == 40


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert commit(tmp_path) is None
