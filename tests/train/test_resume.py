"""Runs that are stopped, damaged or refused: a resume changes no bit and loses nothing."""

import io
import json
import os
import shutil
import signal

import numpy as np
import pytest
from runs import OneRow, StopAt, as_format_3, digests, go, lines
from stubs import averaging, image_set, run_config, without_pictures

from jaxode.config import ModelConfig, RunConfig
from jaxode.distributed import ProcessGroup
from jaxode.errors import CheckpointError, ResumeError, Stopped
from jaxode.runs import Progress, read_config
from jaxode.runs.checkpoint_meta import sealed, unsealed
from jaxode.train import run

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.mark.parametrize("advances", [1, 5, 7, 12, 20])
def test_a_stop_anywhere_and_a_resume_change_no_bit(whole, tmp_path, advances):
    """5 chunks of training, 5 and 2 of evaluation an epoch: the stops fall into all of them."""
    expected, _ = whole
    out = tmp_path / "run"
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as caught:
        go(out, progress=StopAt(advances), pace=OneRow())
    assert caught.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert json.loads((out / "result.json").read_text())["status"] == "stopped"
    assert go(out)["status"] == "complete"
    assert lines(out) == lines(expected)
    last = max(digests(expected))
    assert digests(out)[last] == digests(expected)[last]


def test_a_resume_after_every_epoch_has_neither_gaps_nor_repeats(whole, tmp_path):
    expected, _ = whole
    out = tmp_path / "run"
    for _ in range(2):
        with pytest.raises(Stopped):
            go(out, progress=StopAt(12 + 1), pace=OneRow())
    with open(out / "metrics.jsonl", "a") as file:
        file.write(
            '{"epoch": 9}\n'
        )  # as if it had been killed between the checkpoint and the files
    go(out)
    assert lines(out) == lines(expected)


def test_a_damaged_newest_checkpoint_is_made_again(whole, tmp_path):
    expected, _ = whole
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        go(out, progress=StopAt(2 * 12 + 1), pace=OneRow())
    newest = max((out / "checkpoints").glob("epoch-*"))
    (newest / "meta.json").write_text("{}")
    progress = StopAt(-1)
    go(out, progress=progress)
    assert [newest.name in text for text in progress.warnings] == [True]
    assert digests(out)[max(digests(expected))] == digests(expected)[max(digests(expected))]


def test_a_run_of_the_format_before_goes_on(whole, tmp_path):
    expected, out = whole[0], tmp_path / "run"
    with pytest.raises(Stopped):
        go(out, progress=StopAt(2 * 12 + 3), pace=OneRow())
    as_format_3(out / "checkpoints")
    (out / "metrics.jsonl").write_text("")
    go(out)
    assert lines(out) == lines(expected)
    assert digests(out)[max(digests(expected))] == digests(expected)[max(digests(expected))]
    assert (out / "checkpoints" / "history.jsonl").read_bytes() == (
        out / "metrics.jsonl"
    ).read_bytes()


@pytest.mark.parametrize("lost", ["metrics.jsonl", "checkpoints/history.jsonl"])
def test_of_two_histories_one_is_enough_and_the_other_is_made_again(whole, tmp_path, lost):
    out = tmp_path / "run"
    shutil.copytree(whole[0], out)
    content = (out / lost).read_bytes()
    (out / lost).write_bytes(content[:-40])
    (out / "checkpoints" / "unfinished-0123456789abcdef").mkdir()
    (out / ".result.json.unfinished").write_text("")
    assert go(out) == whole[1]
    assert (out / lost).read_bytes() == content
    assert sorted(path.name for path in out.rglob("*unfinished*")) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda meta: meta["clock"].update(eval_seconds="1"),
            "meta.json: clock: eval_seconds must be a number, got a st",
        ),
        (lambda meta: meta.pop("clock"), "meta.json: clock is missing"),
        (
            lambda meta: meta.update(origins=[5]),
            r"meta.json: origins\[0\] must be an object, got 5",
        ),
        (
            lambda meta: meta.update(fingerprint=None),
            "meta.json: fingerprint must be a string, got null",
        ),
        (
            lambda meta: meta["history"][1].update(loss=None),
            "history, epoch 2: loss must be a number, got None",
        ),
        (lambda meta: meta.update(config=[]), "meta.json: config must be an object, got a list"),
    ],
)
def test_what_only_another_program_writes_is_named(whole, tmp_path, change, message):
    out = tmp_path / "run"
    shutil.copytree(whole[0], out)
    as_format_3(out / "checkpoints")
    path = max((out / "checkpoints").glob("epoch-*")) / "meta.json"
    meta = unsealed(path.read_text())
    change(meta)
    path.write_text(sealed(meta))
    before = contents(out)
    with pytest.raises(ResumeError, match=f"{path.parent.name} is damaged: {message}"):
        go(out)
    assert contents(out) == before


def contents(out):
    """Every file of a run but its checkpoints."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_without_a_readable_checkpoint_nothing_that_is_there_is_lost(whole, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole[0], out)
    (out / "confusion.png").unlink()
    before = contents(out)
    for folder in (out / "checkpoints").glob("epoch-*"):
        (folder / "meta.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is readable"):
        go(out)
    assert contents(out) == before
    shutil.rmtree(out / "checkpoints")
    with pytest.raises(
        ResumeError, match=r"holds results of 3 epochs but no checkpoint .* another --out"
    ):
        go(out)
    assert contents(out) == before
    for name in ("metrics.jsonl", "result.json"):  # one of them alone
        (out / name).unlink()
        with pytest.raises(ResumeError, match="holds results of 3 epochs"):
            go(out)
        (out / name).write_bytes(before[name])


def test_a_loss_before_the_books_are_open_writes_nothing(whole, monkeypatch):
    """As when another process dies while this one reads the checkpoint."""
    out, cluster = whole[0], ProcessGroup()
    before = contents(out)

    def lost(self, *args):
        cluster.on_process_lost[0](1, "process 1 has died")
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxode.runs.checkpoint.Checkpoints.load", lost)
    with pytest.raises(KeyboardInterrupt):
        go(out, cluster=cluster)
    assert contents(out) == before


def test_rates_by_milestones_do_not_depend_on_the_number_of_epochs(tmp_path):
    settings = {"schedule": "milestones", "milestones": "1,2", "drop_last": True}
    longer = run_config(epochs=3).replaced(**settings)
    expected = go(tmp_path / "once", longer)
    go(tmp_path / "twice", longer.replaced(epochs=2))
    assert go(tmp_path / "twice", longer)["epochs"] == expected["epochs"] == 3
    assert lines(tmp_path / "twice") == lines(tmp_path / "once")
    rates = [line["lr"] for line in lines(tmp_path / "once")]
    np.testing.assert_allclose(rates, [rates[0], rates[0] / 10, rates[0] / 100], rtol=1e-6)


def test_a_constant_schedule_can_be_extended(whole, tmp_path):
    expected, _ = whole
    out = tmp_path / "run"
    go(out, run_config(epochs=2))
    assert go(out, run_config(epochs=3))["epochs"] == 3
    assert lines(out) == lines(expected)
    with pytest.raises(ResumeError, match="already has 3 epochs"):
        go(out, run_config(epochs=1))


@pytest.mark.parametrize(
    ("config", "data", "text"),
    [
        (
            run_config().replaced(lr=0.2, rtol=1e-5),
            image_set(),
            r"rtol \(run has 0.001, requested 1e-05\), lr \(run has",
        ),
        (run_config(seed=1), image_set(), "seed"),
        (run_config(), image_set(seed=6), "fingerprint"),
    ],
)
def test_other_settings_or_images_are_refused(whole, config, data, text):
    with pytest.raises(ResumeError, match=text):
        go(whole[0], config, data)


def test_a_complete_run_is_only_summed_up_again(whole, monkeypatch):
    monkeypatch.setattr(
        "jaxode.train.records.commit", lambda: "that of this start, which trains nothing"
    )
    out, result = whole
    assert go(out) == result


@pytest.fixture
def full_at(monkeypatch):
    """Lets a full disk be met at a checkpoint, the first being 1."""
    from jaxode.runs import checkpoint_storage

    reserve = checkpoint_storage.reserve

    def meet(number):
        calls = []

        def reserved(path, size):
            calls.append(size)
            if len(calls) == number:
                raise OSError(28, "No space left on device", str(path))
            reserve(path, size)

        monkeypatch.setattr(checkpoint_storage, "reserve", reserved)

    return meet


@pytest.mark.parametrize("number", [1, 2])
def test_a_full_disk_ends_the_run_and_a_resume_goes_on(whole, tmp_path, full_at, number):
    expected, _ = whole
    out, stream = tmp_path / "run", io.StringIO()
    full_at(number)
    with pytest.raises(CheckpointError, match="No space left on device"):
        go(out)
    result = json.loads((out / "result.json").read_text())
    assert (result["status"], result["epochs"], len(lines(out))) == (
        "failed",
        number - 1,
        number - 1,
    )
    assert sorted(path.name for path in out.glob("checkpoints/*-*")) == sorted(digests(out))
    assert (out / "checkpoints").exists() == (number > 1)
    go(out, progress=Progress(stream=stream))
    again, on = (
        "there is no checkpoint yet: starting from the beginning",
        "going on from epoch-00001-step-0000000005",
    )
    printed = {1: again, 2: on}
    assert stream.getvalue().splitlines()[0] == printed[number]
    assert lines(out) == lines(expected)
    assert digests(out)[max(digests(out))] == digests(expected)[max(digests(expected))]


@pytest.mark.parametrize("name", ["metrics.jsonl", "result.json"])
def test_a_disk_that_is_full_of_results_loses_none(whole, tmp_path, monkeypatch, name):
    """The results of the second epoch find no room."""

    from jaxode.runs.record_files import RecordFiles

    out, expected, written = tmp_path / "run", whole[0], RecordFiles.write

    def full(self, history, *args, **values):
        with pytest.MonkeyPatch.context() as patch:
            if len(history) == 2:
                patch.setattr("jaxode.runs.files.os.fsync", lambda descriptor: failing(descriptor))
            return written(self, history, *args, **values)

    def failing(descriptor):
        if (
            os.readlink(f"/proc/self/fd/{descriptor}")
            .rpartition("/")[2]
            .lstrip(".")
            .startswith(name)
        ):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordFiles, "write", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        go(out)
    assert caught.value.filename == str(out / name)
    monkeypatch.undo()
    without_pictures(monkeypatch)
    go(out)
    assert lines(out) == lines(expected)


def as_an_earlier_version_left_it(out, **changes):
    """One epoch of results whose checkpoint found no room."""
    go(out, run_config(epochs=1))
    shutil.rmtree(out / "checkpoints")
    error = f"cannot write a checkpoint in {out / 'checkpoints'}: No space left on device"
    left = {
        **json.loads((out / "result.json").read_text()),
        "status": "failed",
        "error": error,
        **changes,
    }
    (out / "result.json").write_text(json.dumps(left))


def test_a_run_whose_first_checkpoint_found_no_room_in_an_earlier_version_starts_over(tmp_path):
    out, stream = tmp_path / "run", io.StringIO()
    as_an_earlier_version_left_it(out)
    assert go(out, run_config(epochs=1), progress=Progress(stream=stream))["status"] == "complete"
    first = stream.getvalue().splitlines()[0]
    assert first == "the first checkpoint could not be written: starting from the beginning"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "complete"},
        {"status": "running"},
        {"error": "epoch 2, step 1: not finite"},
        {"epochs": 2},
    ],
)
def test_other_results_without_a_checkpoint_are_not_written_over(tmp_path, changes):
    out = tmp_path / "run"
    as_an_earlier_version_left_it(out, **changes)
    before = contents(out)
    with pytest.raises(ResumeError, match=r"holds results of \d epochs but no checkpoint"):
        go(out, run_config(epochs=1))
    assert contents(out) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"epochs": 1e400}', "result.json: epochs must be a finite number"),
        ('{"epochs": true}', "result.json: epochs must be an integer, got a boolean"),
        ('{"status": "complete"}', "result.json: epochs is missing"),
        (None, "result.json: Is a directory"),
    ],
)
def test_a_result_without_a_status_is_not_overwritten(tmp_path, content, message):
    out = tmp_path / "run"
    out.mkdir()
    if content is None:
        (out / "result.json").mkdir()
    else:
        (out / "result.json").write_text(content)
    with pytest.raises(ResumeError, match=message) as caught:
        go(out)
    assert "\n" not in str(caught.value)


def test_a_resume_goes_on_with_the_scale(tmp_path, monkeypatch):
    config = run_config(precision="float16")
    monkeypatch.setattr(
        "jaxode.train.scaling.START", 2.0**22
    )  # too much for float16, and so is its half
    expected, out = tmp_path / "whole", tmp_path / "run"
    assert go(expected, config)["skipped_steps"] > 1
    with pytest.raises(Stopped):
        go(out, config, progress=StopAt(1), pace=OneRow())
    monkeypatch.setattr("jaxode.train.scaling.START", 1.0)  # of no meaning to a run that has begun
    go(out, config)
    assert lines(out) == lines(expected)
    assert digests(out)[max(digests(expected))] == digests(expected)[max(digests(expected))]


def test_a_resume_goes_on_with_what_a_model_keeps_of_its_batches(tmp_path):
    config = run_config(model=ModelConfig(model="mlp"))
    expected, out = tmp_path / "whole", tmp_path / "run"
    for folder in (expected, out):
        folder.mkdir()
    run(config, image_set(), expected, build=averaging)
    with pytest.raises(Stopped):
        run(config, image_set(), out, build=averaging, progress=StopAt(3), pace=OneRow())
    run(config, image_set(), out, build=averaging)
    assert lines(out) == lines(expected)
    assert digests(out)[max(digests(expected))] == digests(expected)[max(digests(expected))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[" * 10**5, "nested more than 20 deep"),
        (
            '{"seed": ' + "9" * 5000 + "}",
            "seed must be a finite number, an integer of at most 64 bits",
        ),
        ("\xff", "damaged: not UTF-8 from byte 0 on"),
        ("null", "must be an object, got null"),
        (
            json.dumps(RunConfig().to_json() | {"epochs": 5.0}),
            "epochs must be a whole number from 1 to",
        ),
        (json.dumps(RunConfig().to_json() | {"a\x1b": 1}), r"a\x1b is no setting"),
    ],
    ids=range(7),
)
def test_a_damaged_config_json_is_one_line(text, words, tmp_path):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ResumeError) as caught:
        read_config(tmp_path)
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / 'config.json'} is damaged: ")
    assert words in line
    assert line.isprintable()
    assert len(line) < 400
