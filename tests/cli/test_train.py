"""The main function in this process: descriptions, refusals, and a small real run."""

import json
import os
import shlex
import shutil
import sys

import numpy as np
import pytest
from runs import as_format_3

from experiments import cifar10, cifar100, mnist
from jaxode.cli.train import is_complete
from jaxode.runs import read_config
from jaxode.runs.checkpoint_meta import sealed, unsealed
from jaxode.runs.summary import TIMINGS

pytestmark = pytest.mark.usefixtures("no_pictures")

SMALL = shlex.split(
    "--data sample --limit-train 40 --limit-test 10 --batch-size 16 --epochs 2 --model mlp --quiet"
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "mlp"
    assert mnist.main([*SMALL, "--out", str(out)]) == 0
    return out


def error_line(capsys, code, *argv, experiment=mnist):
    assert experiment.main(argv) == code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("experiment", "argv", "parameters"),
    [
        (mnist, [], 208_266),
        (cifar10, ["--blocks", "2"], 284_810),
        (cifar100, ["--model", "resnet"], 583_780),
        (mnist, ["--blocks", "0"], 132_874),
        (mnist, ["--augment-dims", "5"], 220_426),
        (mnist, ["--model", "mlp"], 238_510),
    ],
)
def test_describe_prints_one_json_object_and_touches_nothing(
    experiment, argv, parameters, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert experiment.main(["--describe", *argv]) == 0
    captured = capsys.readouterr()
    description = json.loads(captured.out)
    assert description["parameters"] == parameters
    assert description["shapes"]["logits"] == [100 if experiment is cifar100 else 10]
    assert captured.err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_run_ends_with_a_summary_and_its_files(done, capsys):
    result = json.loads((done / "result.json").read_text())
    assert (result["data"], result["status"], result["epochs"]) == ("sample", "complete", 2)
    assert json.loads((done / "config.json").read_text())["data"]["data"] == "sample"
    (
        done / "checkpoints" / "removed-0123456789abcdef"
    ).mkdir()  # by a process that was killed after it
    assert mnist.main(["--resume", str(done)]) == 0
    assert capsys.readouterr().out == f"{done} is complete: all 2 epochs are done\n"
    assert [path.name for path in done.rglob("removed*")] == []


def test_the_sample_is_named_loudly_and_has_its_own_number_of_epochs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = [word for word in SMALL if word not in ("--quiet", "--epochs", "2")]
    assert mnist.main(short) == 0
    captured = capsys.readouterr()
    assert "SAMPLE, not the full set: 40 training and 10 test images; 5 epochs" in captured.err
    assert len([line for line in captured.err.splitlines() if line.startswith("epoch ")]) == 5
    assert captured.out.startswith("mlp on mnist (bundled sample), 5 epochs: test accuracy")
    (out,) = (tmp_path / "runs" / "mnist").iterdir()
    assert out.name.startswith("mlp-")


def test_a_directory_with_a_run_is_not_written_over(done, capsys):
    before = (done / "result.json").read_bytes()
    assert f"already holds a run: go on with it by --resume {done}" in error_line(
        capsys, 2, *SMALL, "--out", str(done)
    )
    assert (done / "result.json").read_bytes() == before


def test_a_resume_with_other_settings_names_them(done, capsys):
    line = error_line(
        capsys, 2, "--resume", str(done), "--lr", "0.2", "--model", "resnet", "--batch-size", "16"
    )
    assert "lr (run has 0.1, requested 0.2)" in line
    assert "model (run has mlp, requested resnet)" in line
    assert "batch_size" not in line
    assert "dataset (run has mnist, requested cifar10)" in error_line(
        capsys, 2, "--resume", str(done), experiment=cifar10
    )


@pytest.mark.parametrize(
    "content",
    [
        '{"status": "complete", "epochs": true}',
        '{"status": "complete", "epochs": 1e400}',
        "[" * 9999,
        "5",
    ],
)
def test_a_result_of_wrong_types_is_not_that_of_a_complete_run(content, tmp_path):
    (tmp_path / "result.json").write_text(content)
    assert not is_complete(tmp_path, mnist.PRESET.replaced(epochs=1))
    (tmp_path / "result.json").unlink()
    os.mkfifo(tmp_path / "result.json")
    assert not is_complete(tmp_path, mnist.PRESET.replaced(epochs=1))


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"epochs": 3}', '{"seed": 1, "seed": 2}', "[" * 99_999]
)
def test_what_is_no_run_is_not_resumed(content, tmp_path, capsys):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    text = "is no run: it has no config.json" if content is None else "config.json is damaged"
    assert text in error_line(capsys, 2, "--resume", str(tmp_path))


def test_settings_in_what_is_no_file_are_not_read(tmp_path, capsys):
    os.mkfifo(tmp_path / "config.json")
    assert f"cannot read {tmp_path / 'config.json'}: Not a regular file" in error_line(
        capsys, 2, "--resume", str(tmp_path)
    )
    (tmp_path / "config.json").unlink()
    with open(tmp_path / "config.json", "wb") as file:
        file.truncate(1 << 42)
    assert "config.json has more than 1,048,576 bytes" in error_line(
        capsys, 2, "--resume", str(tmp_path)
    )


def test_a_place_that_cannot_be_written_is_named_before_anything_is_loaded(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("jaxode.data.load", None)
    (tmp_path / "file").write_text("")
    assert f"cannot write into {tmp_path / 'file' / 'run'}" in error_line(
        capsys, 2, "--out", str(tmp_path / "file" / "run")
    )


def test_missing_data_leave_no_directory_behind(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    out = tmp_path / "run"
    argv = ["--data", "full", "--data-dir", str(tmp_path / "data" / "none"), "--out", str(out)]
    assert "none" in error_line(capsys, 2, *argv)
    assert not out.exists()


def test_a_second_start_into_the_same_directory_is_refused_and_harms_nothing(
    tmp_path, capsys, monkeypatch
):
    from jaxode import data

    out, load, codes = tmp_path / "run", data.load, []

    def while_loading(*args, **values):
        if not codes:
            codes.append(None)
            codes[0] = mnist.main([*SMALL, "--out", str(out)])
            assert out.is_dir()
        return load(*args, **values)

    monkeypatch.setattr("jaxode.data.load", while_loading)
    assert mnist.main([*SMALL, "--out", str(out)]) == 0
    assert codes == [2]
    assert f"another process is training into {out}" in capsys.readouterr().err
    assert json.loads((out / "result.json").read_text())["status"] == "complete"


def test_a_diverging_run_ends_with_one_line_and_code_1(tmp_path, capsys):
    line = error_line(capsys, 1, *SMALL, "--lr", "1e38", "--out", str(tmp_path / "run"))
    assert "epoch 1, step" in line
    assert "not finite" in line


def test_a_setting_without_effect_is_noted(capsys):
    assert mnist.main(["--describe", "--model", "resnet", "--rtol", "1e-4"]) == 0
    assert capsys.readouterr().err == "note: --rtol has no effect on resnet with sgd on mnist\n"


def test_a_net_without_blocks_is_trained_and_solves_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    argv = shlex.split("--model odenet --blocks 0 --per-sample --width 4 --epochs 1")
    assert mnist.main([*SMALL, *argv, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert (
        captured.err == "note: --per-sample has no effect on odenet of 0 blocks with sgd on mnist\n"
    )
    assert "function evaluations" not in captured.out
    result = json.loads((out / "result.json").read_text())
    assert (result["blocks"], result["nfe_forward"], result["nfe_per_block"], result["solver"]) == (
        0,
        None,
        None,
        None,
    )
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "dataset.json",
        "metrics.jsonl",
        "result.json",
        "curves.png",
        "confusion.png",
        "images.npz",
        "checkpoints",
    }
    assert mnist.main(["--resume", str(out)]) == 0
    assert "is complete" in capsys.readouterr().out


def test_float64_reaches_the_state(tmp_path, monkeypatch):
    import jax

    out = tmp_path / "run"
    try:
        assert (
            mnist.main([*SMALL, "--precision", "float64", "--epochs", "1", "--out", str(out)]) == 0
        )
    finally:
        jax.config.update("jax_enable_x64", False)
    result = json.loads((out / "result.json").read_text())
    assert result["precision"] == "float64"
    reference = float(json.loads((out / "metrics.jsonl").read_text())["loss"])
    assert reference != float(jax.numpy.float32(reference))  # more digits than a float32 has


def test_the_timings_are_fields_of_the_metrics(done):
    for line in (done / "metrics.jsonl").read_text().splitlines():
        assert set(TIMINGS) < set(json.loads(line))


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    "damaged", ["metrics.jsonl", "epoch-*/meta.json", "epoch-*/state/_METADATA"]
)
def test_a_complete_run_that_is_damaged_is_mended(done, tmp_path, damaged, capsys):
    run = tmp_path / "run"
    shutil.copytree(done, run)
    path = run / damaged if damaged == "metrics.jsonl" else max((run / "checkpoints").glob(damaged))
    before = path.read_bytes()
    cut(path)
    assert mnist.main(["--resume", str(run), "--quiet"]) == 0
    captured = capsys.readouterr()
    assert "is complete" not in captured.out
    assert ("is damaged" in captured.err) == (damaged != "metrics.jsonl")
    if damaged == "metrics.jsonl":
        assert path.read_bytes() == before
    assert mnist.main(["--resume", str(run)]) == 0
    assert "is complete" in capsys.readouterr().out


def test_a_complete_run_without_its_checkpoints_stays_complete(done, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(done, run)
    shutil.rmtree(run / "checkpoints")
    assert mnist.main(["--resume", str(run)]) == 0
    assert "is complete" in capsys.readouterr().out


def test_a_complete_run_of_the_previous_format_stays_complete(done, tmp_path, capsys):
    """Its checkpoints have the keys of each line sorted, and metrics.jsonl has not."""
    run = tmp_path / "run"
    shutil.copytree(done, run)
    as_format_3(run / "checkpoints")
    before = (run / "metrics.jsonl").read_bytes()
    assert mnist.main(["--resume", str(run)]) == 0
    assert "is complete" in capsys.readouterr().out
    assert (run / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_names_that_no_file_can_have_are_no_traceback(done, tmp_path, name, capsys):
    run = tmp_path / "run"
    shutil.copytree(done, run)
    for meta in (run / "checkpoints").glob("epoch-*/meta.json"):
        content = unsealed(meta.read_text())
        meta.write_text(sealed({**content, "files_sha256": {name: "0" * 64}}))
    assert not is_complete(run, read_config(run))
    assert mnist.main(["--resume", str(run), "--quiet"]) == 1
    *damaged, last = capsys.readouterr().err.splitlines()
    assert len(damaged) == 2
    assert all("is damaged" in line for line in damaged)
    assert "no checkpoint in" in last


def test_keys_of_a_damaged_file_are_printed_escaped_and_shortened(done, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(done, run)
    text = json.dumps({"\x1b]0;title\x07" + "x" * 5000: 10**30})
    for meta in (run / "checkpoints").glob("epoch-*/meta.json"):
        meta.write_text(text)
    assert mnist.main(["--resume", str(run), "--quiet"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert all(line.isprintable() and len(line) < 500 for line in lines)
    assert "damaged" in lines[0]


def test_more_epochs_for_a_finished_run_say_what_the_schedule_becomes(tmp_path, capsys):
    out = tmp_path / "run"
    assert mnist.main([*SMALL, "--out", str(out)]) == 0
    capsys.readouterr()
    assert mnist.main(["--resume", str(out), "--epochs", "3", "--quiet"]) == 0
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("extended from 2 to 3 epochs after epoch 2: the step schedule is now")
    assert "3 epochs: test accuracy" in captured.out
    assert f"jaxode predict {out} PICTURE" in captured.out
    assert read_config(out).extended_from[0].after == 2
    assert json.loads((out / "result.json").read_text())["epochs"] == 3
    assert "the step schedule allows more, not fewer" in error_line(
        capsys, 2, "--resume", str(out), "--epochs", "2"
    )
    other = [*SMALL, "--config", str(out / "config.json"), "--describe"]
    assert mnist.main(other) == 0  # what happened to that run is no setting of another
    assert "extended_from" not in json.loads(capsys.readouterr().out)["config"]


@pytest.mark.parametrize(
    ("flags", "package", "extra"),
    [
        (["--tensorboard"], "tensorboardX", "tensorboard"),
        (["--wandb", "odenets"], "wandb", "wandb"),
    ],
)
def test_a_logger_without_its_package_is_one_line(
    flags, package, extra, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    out = tmp_path / "run"
    line = error_line(capsys, 2, *SMALL, *flags, "--out", str(out))
    assert line.endswith(f"pip install 'jaxode[{extra}]'")
    assert not out.exists()


def test_event_files_are_written_beside_the_run(tmp_path):
    out = tmp_path / "run"
    assert mnist.main([*SMALL, "--tensorboard", "--out", str(out)]) == 0
    (path,) = (out / "tensorboard").iterdir()
    assert b"step/gradient_norm" in path.read_bytes()


def test_losses_of_the_first_steps_are_printed_in_full(tmp_path, capsys):
    flags = ["--losses", "4", "--epochs", "2", "--out", str(tmp_path / "run")]
    assert mnist.main([*SMALL, *flags]) == 0
    lines = [line.split(": loss ") for line in capsys.readouterr().out.splitlines()[:5]]
    assert [line[0] for line in lines[:4]] == [f"step {number}" for number in range(1, 5)]
    assert len(lines[4]) == 1  # no fifth
    losses = [float(line[1]) for line in lines[:4]]
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    # The batches of an epoch have 16, 16 and 8 images.
    assert np.average(losses[:3], weights=[16, 16, 8]) == pytest.approx(first["loss"], rel=1e-6)
