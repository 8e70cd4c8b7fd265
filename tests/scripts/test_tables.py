"""The published tables: their rows, the runs behind them, and the document, on records that the tests make up."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from jaxode import metrics
from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data import SPECS
from jaxode.nn import describe
from jaxode.train.files import write_json, write_lines
from scripts import report, reproduce
from scripts.tables.document import markdown
from scripts.tables.findings import growth, second_block, worth
from scripts.tables.protocols import identity, run_name, settings
from scripts.tables.records import Record, keep, of_row, of_run, read
from scripts.tables.rows import TABLES, WITH, WITHOUT
from scripts.tables.signs import confusions, rate, reflections
from scripts.tables.table import Row

PARAMETERS = {
    ("chen", "1-layer MLP"): 238_510,
    ("chen", "ResNet 6"): 576_778,
    ("mnist", WITHOUT): 208_266,
    ("fashion_mnist", "ResNet 2"): 280_842,
    ("fashion_mnist_chained", "2 blocks, adjoint"): 283_658,
    ("cifar10", "ResNet 4"): 429_962,
    ("cifar10", "ResNet 8"): 725_898,
    ("cifar10_tolerance", "1e-5"): 209_418,
    ("cifar100", WITH): 215_268,
    ("cifar100_200_adam", "ResNet 8"): 731_748,
    ("mnist_worth", "without its ODE block"): 132_874,
}


@pytest.mark.parametrize(("name", "label"), PARAMETERS)
def test_rows_have_the_published_parameter_counts(name, label):
    table = TABLES[name]
    config, spec = settings(table, table.row(label), "full"), SPECS[table.dataset]
    shape = (spec.view_size, spec.view_size, spec.channels)
    found = describe(config.model, config.solve, image_shape=shape, classes=spec.classes)
    assert found["parameters"] == PARAMETERS[name, label]


@pytest.mark.parametrize(
    ("name", "epochs"),
    {
        "mnist": 30,
        "qmnist": 60,
        "fashion_mnist": 50,
        "cifar10": 100,
        "cifar10_tolerance": 25,
        "cifar100_200": 200,
    }.items(),
)
def test_the_full_protocol_is_the_published_one(name, epochs):
    table = TABLES[name]
    for row in table.rows:
        config = settings(table, row, "full")
        assert (config.epochs, config.batch_size, config.data.data, config.data.limit_train) == (
            epochs,
            128,
            "full",
            None,
        )
        assert config.optim.momentum == 0.9
        if name == "cifar10_tolerance":
            assert (config.optim.optimizer, config.optim.lr, config.optim.schedule) == ("adam", 1e-3, "constant")
            assert config.solve.rtol == config.solve.atol == float(row.label)
        else:
            assert (config.optim.optimizer, config.optim.lr, config.optim.schedule) == ("sgd", 0.1, "step")
            assert config.solve.rtol == config.solve.atol == 1e-3
        if config.model.model == "odenet":
            assert (config.solve.solver, config.solve.stepping) == ("dopri5", "torchdiffeq")


def test_the_cpu_protocol_lets_the_rate_fall_where_the_published_one_lets_it():
    for table in TABLES.values():
        wanted = {"cifar10_tolerance": "constant", "iceberg": "constant"}.get(table.name, "cosine")
        wanted = "step" if table.dataset == "asl_alphabet" else wanted  # as its plan has it, for as many epochs
        assert {settings(table, row, "cpu").optim.schedule for row in table.rows} == {wanted}


def test_an_identity_is_made_of_what_is_not_usual():
    """So that a new setting leaves all identities as they are."""
    assert identity(RunConfig()) == hashlib.sha256(b"{}").hexdigest()


def test_every_row_can_be_run_by_every_protocol():
    names = set()
    for table in TABLES.values():
        for row in table.rows:
            for scale in ("full", "cpu", "smoke"):
                names.add(run_name(settings(table, row, scale)))
            if table.dataset != "asl_alphabet":  # of which `cpu` has fewer pictures
                assert settings(table, row, "cpu").epochs < settings(table, row, "full").epochs
    assert len(names) == len({name.split("-seed")[0][-8:] for name in names})  # no two runs of one identity


def test_the_same_run_has_one_name_whatever_the_table_the_seed_and_the_machine():
    chen, mnist = TABLES["chen"], TABLES["mnist"]
    worth = TABLES["mnist_worth"]
    one, other = settings(worth, worth.row("ODENet"), "cpu"), settings(mnist, mnist.row(WITHOUT), "cpu")
    assert identity(one) == identity(other.replaced(seed=4, data_dir="elsewhere", devices=2))
    assert identity(one) != identity(settings(mnist, mnist.row(WITHOUT), "full"))
    assert identity(one) != identity(settings(mnist, mnist.row(WITH), "cpu"))
    assert identity(one) != identity(settings(chen, chen.row("RK-Net"), "cpu"))  # which has other crops
    found = list(reproduce.jobs([mnist, worth], "cpu", [0, 1], reproduce.RUNS))
    assert [job.row.label for job in found] == 2 * [WITH, WITHOUT, "without its ODE block", "ResNet 6 in its place"]
    assert len({job.out for job in found}) == 8


def made(name, label, scale="cpu", seed=0, accuracy=0.99, **more):
    """A record as a run of this row would leave it."""
    config = settings(TABLES[name], TABLES[name].row(label), scale, seed)
    solves = config.model.ode_blocks > 0
    history = [
        {"epoch": epoch, "test_accuracy": accuracy, "nfe_forward": 26.0 if solves else None,
         "nfe_forward_train": 20.0 + epoch if solves else None}
        for epoch in range(1, config.epochs + 1)
    ]  # fmt: skip
    result = {
        "status": "complete", "test_accuracy": accuracy, "train_accuracy": 0.995, "test_macro_f1": 0.9876,
        "parameters": 208266, "nfe_forward": 26.0 if solves else None, "train_seconds_per_epoch": 312.4,
        "eval_seconds_per_epoch": 90.0, "device": "cpu: some", "cores": 2, "commit": "abcdef0123456",
        "date": "2026-11-21",
        "versions": {"python": "3.11", "jax": "0.10.2", "flax": "0.12", "diffrax": "0.7.2"}, **more,
    }  # fmt: skip
    return Record(config, result, history)


def document(*records):
    return markdown(list(records), [], [], "command")


def line(text, label, protocol):
    """Cells of the line of a protocol below the line that names the model."""
    lines = iter(text.splitlines())
    for row in lines:
        if row.startswith(f"| **{label}** |"):
            while f"| {protocol}" not in row:
                row = next(lines)
            return [cell.strip() for cell in row.strip("|").split("|")][2:]
    raise AssertionError(label)


def test_published_and_measured_figures_stand_in_one_column():
    text = document(made("chen", "ODE-Net", accuracy=0.9951))
    assert line(text, "ODE-Net", "published, 160 epochs")[0] == "0.42 %"
    assert line(text, "ODE-Net", "`cpu`, 6 epochs")[0] == "0.49"
    assert set(line(text, "ODE-Net", "`full`, 160 epochs")) == {"not yet run"}
    assert set(line(text, "ResNet 6", "`cpu`, 6 epochs")) == {"not yet run"}
    assert "Measured: cpu: some, 2 cores; diffrax 0.7.2, flax 0.12, jax 0.10.2, python 3.11; commit abcdef0123" in text


def test_seeds_give_mean_and_deviation():
    text = document(*(made("mnist", WITH, seed=seed, accuracy=0.99 + 0.001 * seed) for seed in (0, 1, 2)))
    assert line(text, WITH, "`cpu`, 6 epochs")[0] == "99.10 ± 0.10"
    assert "seed 0, 1, 2;" in text


def test_a_model_that_solves_nothing_has_no_evaluations():
    text = document(made("fashion_mnist", "ResNet 4"))
    assert "–" in line(text, "ResNet 4", "`cpu`, 4 epochs")


def test_a_smaller_protocol_never_stands_for_the_published_one():
    text = document(made("mnist", WITH, scale="smoke"))
    assert set(line(text, WITH, "`full`")) == set(line(text, WITH, "`cpu`")) == {"not yet run"}
    assert line(text, WITH, "`smoke`, 1 epoch of 256 images of the sample")[0] == "99.00"


def test_findings_say_what_was_measured():
    assert all(find([], "cpu").png is None for find in (growth, second_block, worth))
    labels = [row.label for row in TABLES["fashion_mnist_chained"].rows]
    blocks = [made("fashion_mnist_chained", label, accuracy=0.9 + 0.01 * number) for number, label in enumerate(labels)]
    assert second_block(blocks[:2], "cpu").png is None
    found = second_block(blocks, "cpu")
    assert "one block 90.50 % of the test images with 26.0 evaluations, two blocks 92.50 %" in found.text
    grown = growth(blocks, "cpu")
    assert "Fashion-MNIST: ODENet, adjoint, 21.0 in the first epoch and 24.0 in the last (4)" in grown.text
    assert found.png.startswith(b"\x89PNG")
    assert growth(blocks, "full").png is None
    rows = TABLES["mnist_worth"].rows
    bare = [made("mnist_worth", row.label, accuracy=0.98 + 0.005 * k) for k, row in enumerate(rows)]
    assert worth(bare[:2], "cpu").png is None
    assert (
        "ODENet (208,266 parameters) 2.00 %, without its ODE block (208,266 parameters) 1.50 %"
        in worth(bare, "cpu").text
    )


def signs(name, label, recall, losses=(2.0, 1.0)):
    """A record of hand signs, of classes recognised by these shares, in ten images each."""
    names = [chr(65 + k) for k in range(len(recall))]
    counts = np.diag([round(10 * share) for share in recall])
    counts[:, -1] += 10 - counts.sum(1)
    record = made(name, label, accuracy=float(np.mean(recall)), train_images=400)
    record.result["classification"] = metrics.report(counts, tuple(names))
    for number, entry in enumerate(record.history):
        entry["loss"] = losses[0] + (losses[1] - losses[0]) * number / (len(record.history) - 1)
    return record


def test_findings_of_hand_signs():
    assert all(find([], "cpu").png is None for find in (rate, reflections))
    still, moved = (
        signs("asl_rate", row.label, [0.1] * 10, losses)
        for row, losses in zip(TABLES["asl_rate"].rows, [(2.31, 2.3), (2.3, 0.5)], strict=True)
    )
    assert rate([moved], "cpu").png is None
    found = rate([still, moved], "cpu")
    assert "with 1e-14 the mean loss of an epoch goes from 2.3100 to 2.3000 nats in 20 epochs (guessing: 2.3026)" in (
        found.text
    )
    assert found.png.startswith(b"\x89PNG")
    upright = signs("asl_augmentations", "all but reflections", [1, 0.9, 0.8, 1])
    mirrored = signs("asl_augmentations", "all of the plan", [1, 0.4, 0.7, 1])
    assert reflections([upright], "cpu").png is None
    found = reflections([upright, mirrored], "cpu")
    assert "all but reflections 92.50 %" in found.text
    assert found.text.endswith("of their 10 test images that is recognised: B (90% → 40%), C (80% → 70%).")
    (one,) = confusions([signs("asl_10", "ODENet", [1.0] * 10)], "cpu")
    assert one[:2] == ("asl_10-odenet", "ASL alphabet, first 10 classes: ODENet")
    assert one[2].startswith(b"\x89PNG")


def test_tables_of_unsplit_sets_say_how_many_images_there_were():
    text = document(signs("asl_10", "augmented, 16 channels more", [1.0] * 10))
    assert "400" in line(text, "augmented, 16 channels more", "`cpu`, ")


def test_records_are_kept_and_read(tmp_path):
    record = made("mnist", WITH)
    keep(dataclasses.replace(record, config=record.config.replaced(data_dir="mine")), tmp_path)
    (again,) = read(tmp_path)
    assert again == record  # without the folder of the data
    assert of_row([again], TABLES["mnist"], TABLES["mnist"].row(WITH), "cpu") == [record]
    assert of_row([again], TABLES["chen"], TABLES["chen"].row("ODE-Net"), "cpu") == []
    (tmp_path / "z.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"z\.json is no record"):
        read(tmp_path)


def leave(directory, record):
    """A run's files."""
    directory.mkdir(parents=True)
    write_json(directory / "config.json", record.config.to_json())
    write_json(directory / "result.json", record.result)
    write_lines(directory / "metrics.jsonl", record.history)


def test_a_report_collects_complete_runs_of_rows(tmp_path, capsys):
    record = made("mnist", WITH)
    leave(tmp_path / "runs" / "a", record)
    leave(tmp_path / "runs" / "b", dataclasses.replace(record, config=record.config.replaced(lr=0.2)))
    leave(tmp_path / "runs" / "c", dataclasses.replace(made("mnist", WITHOUT), history=record.history[:4]))
    out = tmp_path / "out"
    assert report.main([str(tmp_path / "runs"), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "1 runs found, 1 records" in said.out
    assert f"left out, for it is of no row: {tmp_path / 'runs' / 'b'}" in said.err
    assert "c" not in {line.rsplit("/", 1)[-1] for line in said.err.splitlines()}
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
    assert "seed 3, 1 epochs: complete" in capsys.readouterr().err
    assert (directory / "result.json").stat().st_mtime_ns == changed
    assert reproduce.main([*argv, "--list"]) == 0
    assert "complete" in capsys.readouterr().out
    assert json.loads((directory / "result.json").read_text())["classification"]["macro"]["f1"] >= 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nothing"], "TABLE must be one of chen"),
        (["chen", "--only", "zzz"], "--only must be a part of a label, one of 1-layer MLP"),
        (["chen", "--seeds", "-1"], "--seeds must be a whole number of at least 0, got -1"),
        (["chen", "--scale", "huge"], "--scale"),
        ([], "TABLE"),
        (["qmnist", "--scale", "smoke"], "qmnist has no bundled sample"),
    ],
)
def test_wrong_requests_end_in_one_line(tmp_path, capsys, argv, said):
    assert reproduce.main([*argv, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_images_are_loaded_once_for_all_rows_that_have_the_same(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(reproduce, "load", lambda data, progress: loaded.append(data.classes) or "images")
    monkeypatch.setattr(reproduce, "announcement", lambda data: "")
    monkeypatch.setattr(reproduce, "run", lambda config, data, out, progress: {"model": "none"})
    monkeypatch.setattr(reproduce, "conclusion", lambda result, out: "")
    argv = ["asl_augmentations", "asl_rate", "asl_10", "asl_29", "--out", str(tmp_path), "--quiet"]
    reproduce.main(argv)
    assert loaded == [10, 29]


def test_tables_without_images_do_not_stop_the_others(tmp_path, capsys, monkeypatch):
    argv = ["qmnist", "chen", "--scale", "smoke", "--out", str(tmp_path), "--quiet"]
    monkeypatch.setattr(reproduce, "run", lambda config, data, out, progress: {"model": "none"})
    monkeypatch.setattr(reproduce, "conclusion", lambda result, out: "")
    assert reproduce.main(argv) == 1
    said = capsys.readouterr()
    assert said.err.count("not run: qmnist has no bundled sample") == 2
    assert "4 of 6 runs complete" in said.out


def test_a_report_of_nothing_is_refused(tmp_path, capsys):
    assert report.main([str(tmp_path / "no"), "--out", str(tmp_path)]) == 2
    assert "RUNS must be directories" in capsys.readouterr().err


def test_labels_are_unknown_or_unique():
    for table in TABLES.values():
        assert len({row.label for row in table.rows}) == len(table.rows)
    with pytest.raises(ConfigError, match="has no row 'x'"):
        TABLES["mnist"].row("x")
    assert Row("a", {}).published == {}
