"""Runs that are stopped, damaged or refused: a resume changes no bit and loses nothing."""

import json
import shutil
import signal

import pytest
from runs import OneRow, StopAt, digests, go, lines
from stubs import averaging, image_set, run_config

from jaxode.config import ModelConfig
from jaxode.train import CheckpointError, Cluster, ResumeError, Stopped, run

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
        file.write('{"epoch": 9}\n')  # as if it had been killed between the checkpoint and the files
    go(out)
    assert lines(out) == lines(expected)


def test_a_damaged_newest_checkpoint_is_made_again(whole, tmp_path):
    expected, _ = whole
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        go(out, progress=StopAt(2 * 12 + 1), pace=OneRow())
    newest = max((out / "checkpoints").iterdir())
    (newest / "meta.json").write_text("{}")
    progress = StopAt(-1)
    go(out, progress=progress)
    assert [newest.name in text for text in progress.warnings] == [True]
    assert digests(out)[max(digests(expected))] == digests(expected)[max(digests(expected))]


def contents(out):
    """Every file of a run but its checkpoints."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_without_a_readable_checkpoint_nothing_that_is_there_is_lost(whole, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole[0], out)
    (out / "confusion.png").unlink()
    before = contents(out)
    for folder in (out / "checkpoints").iterdir():
        (folder / "meta.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is readable"):
        go(out)
    assert contents(out) == before
    shutil.rmtree(out / "checkpoints")
    with pytest.raises(ResumeError, match=r"holds results of 3 epochs but no checkpoint .* another --out"):
        go(out)
    assert contents(out) == before
    for name in ("metrics.jsonl", "result.json"):  # one of them alone
        (out / name).unlink()
        with pytest.raises(ResumeError, match="holds results of 3 epochs"):
            go(out)
        (out / name).write_bytes(before[name])


def test_a_loss_before_the_books_are_open_writes_nothing(whole, monkeypatch):
    """As when another process dies while this one reads the checkpoint."""
    out, cluster = whole[0], Cluster()
    before = contents(out)

    def lost(self, *args):
        cluster.at_loss[0](1, "process 1 has died")
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxode.train.checkpoint.Checkpoints.load", lost)
    with pytest.raises(KeyboardInterrupt):
        go(out, cluster=cluster)
    assert contents(out) == before


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
        (run_config().replaced(lr=0.2, rtol=1e-5), image_set(), r"rtol \(run has 0.001, asked 1e-05\), lr \(run has"),
        (run_config(seed=1), image_set(), "seed"),
        (run_config(), image_set(seed=6), "fingerprint"),
    ],
)
def test_other_settings_or_images_are_refused(whole, config, data, text):
    with pytest.raises(ResumeError, match=text):
        go(whole[0], config, data)


def test_a_complete_run_is_only_summed_up_again(whole, monkeypatch):
    monkeypatch.setattr("jaxode.train.loop.commit", lambda: "that of this start, which trains nothing")
    out, result = whole
    assert go(out) == result


def test_a_full_disk_ends_the_run_and_a_resume_goes_on(whole, tmp_path, monkeypatch):
    from jaxode.train import checkpoint

    expected, _ = whole
    out, calls, reserve = tmp_path / "run", [], checkpoint.reserve

    def full_at_the_second(path, size):
        calls.append(size)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(path))
        reserve(path, size)

    monkeypatch.setattr(checkpoint, "reserve", full_at_the_second)
    with pytest.raises(CheckpointError, match="No space left on device"):
        go(out)
    assert len(digests(out)) == 1
    go(out)
    assert lines(out) == lines(expected)
    assert digests(out)[max(digests(out))] == digests(expected)[max(digests(expected))]


def test_a_resume_goes_on_with_the_scale(tmp_path, monkeypatch):
    config = run_config(precision="float16")
    monkeypatch.setattr("jaxode.train.scaling.START", 2.0**22)  # too much for float16, and so is its half
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
