"""Whole runs with a stub for a model: files, stops, resumes, refusals and failures."""

import dataclasses
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest
from stubs import averaging, builder, image_set, run_config, without_pictures

from jaxode.checks import ConfigError
from jaxode.config import ModelConfig
from jaxode.data import ImageSet
from jaxode.train import CheckpointError, Cluster, Progress, ResumeError, RunFailed, Stopped, run
from jaxode.train.checkpoint import unsealed
from jaxode.train.curves import draw as draw_curves
from jaxode.train.figures import TIMINGS
from jaxode.train.pace import Pace

KEYS = """dataset data train_images test_images model blocks parameters solver gradient rtol atol nfe_forward epochs
seed test_accuracy train_accuracy
train_seconds_per_epoch eval_seconds_per_epoch compile_seconds device versions commit"""


def go(out, config=None, data=None, fail="", **options):
    out.mkdir(exist_ok=True)
    return run(config or run_config(), data or image_set(), out, build=builder(fail), **options)


def lines(out):
    """The metrics, but for the timings."""
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in TIMINGS} for record in records]


def digests(out):
    """Digest of the state in each checkpoint."""
    folders = sorted((out / "checkpoints").iterdir())
    return {folder.name: unsealed((folder / "meta.json").read_text())["state_sha256"] for folder in folders}


class StopAt(Progress):
    """Sends this process a signal after so many advances."""

    def __init__(self, advances, signum=signal.SIGTERM):
        super().__init__(quiet=True)
        self.left, self.signum, self.warnings = advances, signum, []

    def advance(self, batches, **values):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.signum)

    def warn(self, text):
        self.warnings.append(text)


class OneRow(Pace):
    """Chunks of one batch, so that a run can stop anywhere."""

    def rows(self, remaining):
        return 1


class Disguised(ImageSet):
    """Images that claim to be those of `image_set()`."""

    @property
    def fingerprint(self):
        return image_set().fingerprint


@pytest.fixture(autouse=True)
def undrawn(monkeypatch, whole):
    """The picture is slow to draw and drawn once, in `whole`."""
    without_pictures(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, go(out)


def test_a_run_leaves_its_files(whole):
    out, result = whole
    assert {path.name for path in out.iterdir()} == {
        "config.json", "metrics.jsonl", "result.json", "curves.png", "confusion.png", "images.npz", "checkpoints",
    }  # fmt: skip
    assert json.loads((out / "result.json").read_text()) == result
    assert json.loads((out / "config.json").read_text()) == run_config().to_json()
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [line["epoch"] for line in lines(out)] == [1, 2, 3]


def test_the_result_has_what_is_promised(whole):
    _, result = whole
    assert set(KEYS.split()) <= set(result)
    assert result["status"] == "complete"
    assert (result["train_images"], result["test_images"], result["epochs"]) == (70, 23, 3)
    assert result["parameters"] == 49 * 10 + 10
    assert result["nfe_per_block"] == [20, 40]
    assert result["nfe_forward"] == 30
    assert (result["accepted"], result["rejected"]) == (4.5, 0.5)
    assert result["versions"]["jax"] == jax.__version__
    for name in ("train_seconds_per_epoch", "eval_seconds_per_epoch", "compile_seconds", "images_per_second"):
        assert result[name] > 0


def test_training_learns(whole):
    out, _ = whole
    losses = [line["loss"] for line in lines(out)]
    assert losses[0] > losses[1] > losses[2]


def test_every_epoch_sees_other_crops_in_another_order(tmp_path):
    out = tmp_path / "run"
    go(out, run_config(epochs=2).replaced(lr=1e-20))
    first, second = lines(out)
    assert first["test_loss"] == second["test_loss"]  # the parameters stand still
    assert first["loss"] != second["loss"]


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
        cluster.at_loss[0]("process 1 has died")
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxode.train.checkpoint.Checkpoints.load", lost)
    with pytest.raises(KeyboardInterrupt):
        go(out, cluster=cluster)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("fail", "text"), [("nan", "the loss is not finite"), ("solve", "raise max_steps")]
)  # fmt: skip
def test_a_failure_names_epoch_and_step_and_saves_nothing(tmp_path, fail, text):
    out, clean, poisoned = tmp_path / "run", image_set(), image_set(poisoned=(40,))
    go(out, run_config(epochs=1), clean)
    before = digests(out)
    poisoned = Disguised(**{field.name: getattr(poisoned, field.name) for field in dataclasses.fields(poisoned)})
    with pytest.raises(RunFailed, match=rf"epoch 2, step \d of 5: .*{text}") as caught:
        go(out, run_config(epochs=2), poisoned, fail)
    assert "\n" not in str(caught.value)
    assert digests(out) == before
    result = json.loads((out / "result.json").read_text())
    assert (result["status"], result["epochs"], result["error"]) == ("failed", 1, str(caught.value))


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


def test_the_best_checkpoint_is_kept(whole):
    out, result = whole
    assert f"epoch-{result['best_epoch']:05d}-step-{5 * result['best_epoch']:010d}" in digests(out)


def test_settings_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="jax_enable_x64"):
        go(tmp_path / "a", run_config(precision="float64"))
    with pytest.raises(ConfigError, match="data must be full"):
        go(tmp_path / "b", run_config().replaced(data="sample"))
    with pytest.raises(ConfigError, match="32 bits"):
        go(tmp_path / "c", run_config(epochs=2**31))


def test_one_seed_gives_one_result_and_another_another(whole, tmp_path):
    out, _ = whole
    go(tmp_path / "same")
    go(tmp_path / "other", run_config(seed=1))
    assert digests(tmp_path / "same") == digests(out)
    assert not np.isclose(lines(tmp_path / "other")[0]["loss"], lines(out)[0]["loss"], rtol=1e-6)


def test_a_gradient_that_is_never_finite_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxode.train.scaling.START", 4.0)
    with pytest.raises(RunFailed, match="epoch 1, step 3 of 5: the gradient in float16 is not finite"):
        go(tmp_path / "run", run_config(precision="float16"), fail="slope")


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


def test_training_images_can_be_evaluated_at_the_end_alone(tmp_path, whole):
    _, usual = whole
    out = tmp_path / "run"
    result = go(out, run_config().replaced(train_evaluation="last"))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["train_accuracy"] is None for line in lines] == [True, True, False]
    assert [line["test_accuracy"] is None for line in lines] == [False, False, False]
    for name in ("train_accuracy", "train_macro_f1", "test_accuracy", "test_loss"):
        assert result[name] == usual[name]
    assert draw_curves(lines[:2], "two of three").startswith(b"\x89PNG")
