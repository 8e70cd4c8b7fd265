"""Tables of the systems: records kept and found again, rows, documents, runs."""

import dataclasses
import json
from pathlib import Path

import pytest

from jaxode.checks import ConfigError
from jaxode.errors import RunFailed
from scripts import reproduce, system_tables
from scripts.systems import jobs
from scripts.systems.documents import BEGIN, END, RESULTS, both, own_part, updated
from scripts.systems.jobs import system_jobs
from scripts.systems.measures import belongs, protocols_of
from scripts.systems.records import FOLDERS, SETTINGS, keep, of_run, read, shown_command
from scripts.systems.rows import DENSITY, SYSTEM_TABLES
from scripts.systems.tables import density_lines

ROOT = Path(system_tables.__file__).parents[1]


@pytest.fixture(scope="module")
def committed():
    return {name: read(ROOT / folder / "records") for name, folder in FOLDERS.items()}


def run_of(record, directory, **changes):
    """The directory of a run with a record's numbers, of a machine's own places."""
    directory.mkdir(parents=True)
    command = f"{record.experiment['command']} --data-dir /home/me/data --out /tmp/x"
    experiment = {**record.experiment, "data_dir": "/home/me/data", "command": command, **changes}
    (directory / SETTINGS[record.system]).write_text(json.dumps(experiment))
    result = {**record.result, "best_epoch": 1}
    (directory / "result.json").write_text(json.dumps(result))
    (directory / "metrics.jsonl").write_text(
        f"{json.dumps(record.best)}\n{json.dumps(record.last)}\n"
    )
    return directory


def test_every_committed_record_is_of_a_row_and_in_its_document(committed):
    for name, records in committed.items():
        assert records or name == "depth"
        for record in records:
            rows = [
                row for row in SYSTEM_TABLES[name].rows if belongs(record, SYSTEM_TABLES[name], row)
            ]
            assert len(rows) == 1, record.name
        text = (ROOT / FOLDERS[name] / "README.md").read_text(encoding="utf-8")
        assert updated(text, own_part(name, ROOT), name) == text, (
            "make the tables anew: python -m scripts.system_tables"
        )
    text = (ROOT / RESULTS).read_text(encoding="utf-8")
    assert updated(text, both(ROOT), RESULTS) == text


def test_a_run_becomes_a_record_without_the_places_of_a_machine(committed, tmp_path, capsys):
    for folder in FOLDERS.values():
        place = tmp_path / folder
        place.mkdir(parents=True)
        (place / "README.md").write_text(f"prose\n{BEGIN}\nof before\n{END}\nmore\n")
    wine = {"target": "red_wine", "fold": 3, "validation": 0.1}
    density = run_of(committed["density"][0], tmp_path / "a", **wine)
    series = run_of(committed["series"][0], tmp_path / "b")
    words = [str(density), str(series), "--root", str(tmp_path)]
    assert system_tables.main(words) == 0
    kept = tmp_path / FOLDERS["density"] / "records" / "red_wine_fold3.json"
    assert str(kept) in capsys.readouterr().out
    assert "/home/me" not in kept.read_text()
    assert "--data-dir DIR" in kept.read_text()
    (again,) = read(kept.parent)
    assert again.best == committed["density"][0].best
    assert again.protocol == of_run(density).protocol
    text = (tmp_path / FOLDERS["density"] / "README.md").read_text()
    assert text.startswith("prose\n")
    assert text.endswith("more\n")
    assert "1 of 10 folds" in text
    assert "of before" not in text
    assert (
        "95.4 % (Kidger et al. 2020, as recalled)"
        in (tmp_path / FOLDERS["series"] / "README.md").read_text()
    )


def test_the_same_run_replaces_its_record_and_another_protocol_does_not(committed, tmp_path):
    first = committed["density"][0]
    faster = dataclasses.replace(first, experiment={**first.experiment, "lr": 0.1})
    paths = [keep(each, tmp_path) for each in (first, first, faster, faster)]
    assert paths[0] == paths[1] == tmp_path / f"{first.name}.json"
    assert paths[2] == paths[3] != paths[0]
    assert len(read(tmp_path)) == 2


def test_seeds_and_folds_of_one_protocol_are_one_line(committed):
    one = next(each for each in committed["density"] if each.name == "circles")
    seeds = [
        dataclasses.replace(
            one,
            experiment={**one.experiment, "seed": seed},
            result={**one.result, "density": {**one.result["density"], "nats": nats}},
        )
        for seed, nats in ((0, -0.80), (1, -0.84))
    ]
    row = DENSITY.rows[0]
    assert len(protocols_of([*seeds, one], DENSITY, row)) == 1
    (line,) = density_lines(seeds, DENSITY, row)
    assert line[1] == "−0.8200 ± 0.0283, 2 seeds"
    assert line[3] == "0.032"
    other = dataclasses.replace(one, experiment={**one.experiment, "lr": 0.1})
    assert len(density_lines([one, other], DENSITY, row)) == 2
    board = next(row for row in DENSITY.rows if row.problem["target"] == "checkerboard")
    assert density_lines([], DENSITY, board)[0][1:3] == ["not yet run", "−3.466"]
    wine = next(row for row in DENSITY.rows if row.problem["target"] == "red_wine")
    folds = [
        dataclasses.replace(one, experiment={**one.experiment, **wine.problem, "fold": fold})
        for fold in (0, 1)
    ]
    (line,) = density_lines(folds, DENSITY, wine)
    assert line[1].endswith(", 2 of 10 folds")
    # The chosen epoch's mean, whose standard error no run has recorded.
    chosen = dataclasses.replace(folds[0], best={"test_log_likelihood": -9.0})
    assert density_lines([chosen], DENSITY, wine)[0][1] == "−9.0000, 1 of 10 folds"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (
            "python -m x --data-dir /a/b --out runs/y --epochs 2",
            "python -m x --data-dir DIR --epochs 2",
        ),
        ("python -m x --out=/tmp/y --resume --quiet --data vowels", "python -m x --data vowels"),
        ("python -m x --data-dir='/a b/c'", "python -m x --data-dir DIR"),
    ],
)
def test_a_command_is_shown_without_places(typed, shown):
    assert shown_command(typed) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [("no marks", "must have the line"), (f"{END}{BEGIN}", "must have"), (BEGIN * 2 + END, "once")],
)
def test_a_document_without_the_marks_is_left_alone(text, message):
    with pytest.raises(ConfigError, match=message):
        updated(text, "table", "README.md")


def test_an_unfinished_run_is_refused(committed, tmp_path, capsys):
    directory = run_of(committed["series"][0], tmp_path / "a")
    (directory / "result.json").write_text('{"status": "stopped", "best_epoch": 1}')
    assert system_tables.main([str(directory), "--root", str(tmp_path)]) == 2
    assert "must be a finished run, and is stopped" in capsys.readouterr().err
    assert system_tables.main([str(tmp_path), "--root", str(tmp_path)]) == 2
    assert (
        "must be a run of density, series, detection, depth, with density.json"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("scale", ["full", "cpu", "smoke"])
def test_every_row_can_be_run(scale, tmp_path):
    """Its settings are those of a run, and no two runs share a directory."""
    found = list(system_jobs(tuple(SYSTEM_TABLES.values()), scale, (0, 1), tmp_path))
    assert len({job.out for job in found}) == len(found)
    for job in found:
        assert job.epochs >= 1
        assert job.config("DIR").seed in (0, 1)
        assert job.command.startswith(f"python -m experiments.{job.table.name} ")


def test_rows_are_run_resumed_and_listed(tmp_path, monkeypatch, capsys):
    told = []

    def train(config, out, progress, command):
        told.append((config.target, config.resume))
        if config.target == "moons" and not config.resume:
            out.mkdir(parents=True)
            (out / "config.json").write_text("{}")
            raise RunFailed("the loss is not finite")
        out.mkdir(parents=True, exist_ok=True)
        (out / "result.json").write_text('{"status": "complete"}')
        return "done"

    from experiments.densities import training

    monkeypatch.setattr(training, "train", train)
    argv = ["density", "--scale", "smoke", "--only", "o", "--out", str(tmp_path)]
    words = [*argv[:4], "moons", *argv[5:]]
    assert reproduce.main(words) == 1
    assert "failed: the loss is not finite" in capsys.readouterr().err
    assert reproduce.main(words) == 0
    assert told == [("moons", False), ("moons", True)]
    assert reproduce.main(words) == 0
    assert len(told) == 2
    assert reproduce.main([*words, "--list"]) == 0
    assert "complete" in capsys.readouterr().out
    assert reproduce.main([*argv[:4], "nothing", *argv[5:]]) == 2
    assert "--only must be a part of a label" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="scale must be"):
        next(jobs.system_jobs((DENSITY,), "huge", (0,), tmp_path))
