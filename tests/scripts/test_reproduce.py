"""The two commands of the tables: running rows, and collecting what came of them."""

import dataclasses
import json

import pytest
from records import made
from stubs import image_set

from jaxode.errors import RunFailed
from jaxode.runs.files import write_json
from jaxode.runs.history import HistoryFile
from scripts import report, reproduce
from scripts.tables.records import of_run
from scripts.tables.thesis import WITH, WITHOUT


def leave(directory, record):
    """A run's files."""
    directory.mkdir(parents=True)
    write_json(directory / "config.json", record.config.to_json())
    write_json(directory / "result.json", record.result)
    HistoryFile(directory / "metrics.jsonl").write(record.history)


def test_a_report_collects_complete_runs_of_rows(tmp_path, capsys):
    record = made("mnist", WITH)
    leave(tmp_path / "runs" / "a", record)
    leave(
        tmp_path / "runs" / "b", dataclasses.replace(record, config=record.config.replaced(lr=0.2))
    )
    leave(
        tmp_path / "runs" / "c",
        dataclasses.replace(made("mnist", WITHOUT), history=record.history[:4]),
    )
    other, old = made("asl_10", "ODENet"), made("mnist", WITHOUT)
    other.result["train_images"] += 950
    del old.result["test_accuracy"]
    leave(tmp_path / "runs" / "d", other)
    leave(tmp_path / "runs" / "e", old)
    damaged = made("mnist", WITH, seed=3)
    damaged.history[1]["test_accuracy"] = None
    leave(tmp_path / "runs" / "f", damaged)
    out = tmp_path / "out"
    assert report.main([str(tmp_path / "runs"), "--out", str(out)]) == 0
    message = capsys.readouterr()
    assert "1 runs found, 1 records" in message.out
    assert message.err.splitlines() == [
        f"left out, for it is of no row: {tmp_path / 'runs' / 'b'}",
        f"left out, for it is of 1,450 images, and its row of 500: {tmp_path / 'runs' / 'd'}",
        f"left out, for its result has no test_accuracy: {tmp_path / 'runs' / 'e'}",
        (
            f"left out, for its files are damaged: {tmp_path / 'runs' / 'f' / 'metrics.jsonl'},"
            " epoch 2: test_accuracy must be a number, got None"
        ),
    ]
    assert [path.name for path in (out / "records").iterdir()] == [f"{record.name}.json"]
    assert "99.00" in (out / "README.md").read_text()
    for name in ("learning-cpu.png", "nfe-cpu.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    leave(tmp_path / "more" / "d", made("mnist", WITH, seed=1))
    assert report.main([str(tmp_path / "more"), "--out", str(out)]) == 0  # earlier records stay
    assert "99.00" in (out / "README.md").read_text()
    assert len(list((out / "records").iterdir())) == 2


def test_a_table_is_run_resumed_and_listed(tmp_path, capsys):
    argv = ["chen", "--scale", "smoke", "--only", "mlp", "--seeds", "3", "--out", str(tmp_path)]
    assert reproduce.main([*argv, "--list"]) == 0
    assert "0 of 1 epochs" in capsys.readouterr().out
    assert reproduce.main(argv) == 0
    (directory,) = tmp_path.iterdir()
    record = of_run(directory)
    assert (record.name, record.config.seed) == (directory.name, 3)
    assert record.result["wall_seconds"] > 0
    changed = (directory / "result.json").stat().st_mtime_ns
    assert reproduce.main(argv) == 0
    assert "seed 3, 1 epoch: complete" in capsys.readouterr().err
    assert (directory / "result.json").stat().st_mtime_ns == changed
    assert reproduce.main([*argv, "--list"]) == 0
    assert "complete" in capsys.readouterr().out
    assert json.loads((directory / "result.json").read_text())["classification"]["macro"]["f1"] >= 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nothing"], "TABLE must be one of chen"),
        (["chen", "--only", "zzz"], "--only must be a part of a label, one of 1-layer MLP"),
        (["chen", "--seeds", "-1"], "--seeds must be a whole number from 0 to 4294967295, got -1"),
        (["chen", "--scale", "huge"], "--scale"),
        ([], "TABLE"),
        (["qmnist", "--scale", "smoke"], "qmnist has no bundled sample"),
    ],
)
def test_wrong_requests_end_in_one_line(tmp_path, capsys, argv, message):
    assert reproduce.main([*argv, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_images_are_loaded_once_for_all_rows_that_have_the_same(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        reproduce, "load", lambda data, progress: loaded.append(data.classes) or "images"
    )
    monkeypatch.setattr(reproduce, "check_count", lambda job, data: None)
    monkeypatch.setattr(reproduce, "data_text", lambda data: "")
    monkeypatch.setattr(reproduce, "run", lambda config, data, out, progress: {"model": "none"})
    monkeypatch.setattr(reproduce, "result_text", lambda result, task, out: "")
    argv = ["asl_augmentations", "asl_rate", "asl_10", "asl_29", "--out", str(tmp_path), "--quiet"]
    reproduce.main(argv)
    assert loaded == [10, 29]


def test_tables_without_images_do_not_stop_the_others(tmp_path, capsys, monkeypatch):
    argv = ["qmnist", "chen", "--scale", "smoke", "--out", str(tmp_path), "--quiet"]
    monkeypatch.setattr(reproduce, "run", lambda config, data, out, progress: {"model": "none"})
    monkeypatch.setattr(reproduce, "result_text", lambda result, task, out: "")
    assert reproduce.main(argv) == 1
    message = capsys.readouterr()
    assert message.err.count("not run: qmnist has no bundled sample") == 2
    assert "4 of 6 runs complete" in message.out


def test_another_part_of_a_set_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reproduce, "load", lambda data, progress: image_set(train=480, test=21))
    monkeypatch.setattr(reproduce, "data_text", lambda data: "")
    assert reproduce.main(["asl_10", "--only", "resnet", "--out", str(tmp_path), "--quiet"]) == 2
    assert "asl_10 by this protocol is of 500 images, and there are 501" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), RunFailed("epoch 1: no")]
)
@pytest.mark.parametrize("at", ["load", "run"])
def test_a_row_that_fails_does_not_stop_the_others(tmp_path, capsys, monkeypatch, at, error):
    monkeypatch.setattr(reproduce, "check_count", lambda job, data: None)
    does = {
        "load": lambda data, progress: "images",
        "run": lambda config, data, out, progress: {"model": "none"},
    }
    for name, do in {
        **does,
        "data_text": lambda data: "",
        "result_text": lambda result, task, out: "",
    }.items():
        monkeypatch.setattr(reproduce, name, do)
    left = [error]

    def once(*args, **values):
        if left:
            raise left.pop()
        return does[at](*args, **values)

    monkeypatch.setattr(reproduce, at, once)
    assert reproduce.main(["chen", "--scale", "smoke", "--out", str(tmp_path), "--quiet"]) == 1
    message = capsys.readouterr()
    (line,) = message.err.splitlines()
    assert line.startswith("[1/4] chen: ")
    assert line.endswith(
        "failed: epoch 1: no" if isinstance(error, RunFailed) else "failed: out of memory"
    )
    assert "3 of 4 runs complete" in message.out


def test_a_mistake_of_the_program_is_shown_as_one(tmp_path, monkeypatch):
    def broken(data, progress):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(reproduce, "load", broken)
    with pytest.raises(RuntimeError, match="a mistake"):
        reproduce.main(["chen", "--scale", "smoke", "--out", str(tmp_path), "--quiet"])


def test_ctrl_c_before_training_is_one_line(tmp_path, capsys, monkeypatch):
    def interrupted(data, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "load", interrupted)
    assert reproduce.main(["chen", "--scale", "smoke", "--out", str(tmp_path), "--quiet"]) == 130
    assert (
        capsys.readouterr().err
        == "python -m scripts.reproduce: stopped by SIGINT; the same command goes on\n"
    )


def test_damaged_files_are_listed_as_far_as_they_go(tmp_path, capsys):
    argv = ["chen", "--scale", "smoke", "--only", "mlp", "--out", str(tmp_path)]
    (job,) = reproduce.chosen(
        {
            **{"tables": ["chen"], "scale": "smoke", "seeds": [0], "out": tmp_path},
            **{"only": "mlp", "run": None},
        }
    )
    leave(job.out, made("chen", "1-layer MLP"))
    for name in ("metrics.jsonl", "result.json"):
        (job.out / name).write_bytes(b"\xff\n" + (job.out / name).read_bytes())
    assert reproduce.main([*argv, "--list"]) == 0
    assert "epochs" in capsys.readouterr().out


def test_a_report_of_nothing_is_refused(tmp_path, capsys):
    assert report.main([str(tmp_path / "no"), "--out", str(tmp_path)]) == 2
    assert "RUNS must be directories" in capsys.readouterr().err
