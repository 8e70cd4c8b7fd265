"""The published tables: their rows, the runs behind them, and the document, on records that the
tests make up.
"""

import dataclasses
import hashlib
import json
import os

import pytest
from records import made, signs

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data import SPECS
from jaxode.models import describe
from scripts import reproduce
from scripts.tables.columns import MEASURES
from scripts.tables.document import markdown
from scripts.tables.protocol_text import protocols
from scripts.tables.protocols import identity, run_name, settings
from scripts.tables.records import keep, of_row, read
from scripts.tables.rows import TABLES
from scripts.tables.table import Row
from scripts.tables.thesis import WITH, WITHOUT

PARAMETERS = {
    ("chen", "1-layer MLP"): 238_510,
    ("chen", "ResNet 6"): 576_778,
    ("odenet_mnist", "ResNet 6, residual downsampling"): 601_482,
    ("odenet_mnist", "ODE-Net"): 208_266,
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
            assert (config.optim.optimizer, config.optim.lr, config.optim.schedule) == (
                "adam",
                1e-3,
                "constant",
            )
            assert config.solve.rtol == config.solve.atol == float(row.label)
        else:
            assert (config.optim.optimizer, config.optim.lr, config.optim.schedule) == (
                "sgd",
                0.1,
                "step",
            )
            assert config.solve.rtol == config.solve.atol == 1e-3
        if config.model.model == "odenet":
            assert (config.solve.solver, config.solve.stepping) == ("dopri5", "torchdiffeq")


def test_the_cpu_protocol_lets_the_rate_fall_where_the_published_one_lets_it():
    for table in TABLES.values():
        wanted = {"cifar10_tolerance": "constant", "iceberg": "constant"}.get(table.name, "cosine")
        wanted = (
            "step" if table.dataset == "asl_alphabet" else wanted
        )  # as its plan has it, for as many epochs
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
    assert len(names) == len(
        {name.split("-seed")[0][-8:] for name in names}
    )  # no two runs of one identity


def test_the_same_run_has_one_name_whatever_the_table_the_seed_and_the_machine():
    chen, mnist = TABLES["chen"], TABLES["mnist"]
    worth = TABLES["mnist_worth"]
    one, other = (
        settings(worth, worth.row("ODENet"), "cpu"),
        settings(mnist, mnist.row(WITHOUT), "cpu"),
    )
    assert identity(one) == identity(other.replaced(seed=4, data_dir="elsewhere", devices=2))
    assert identity(one) != identity(settings(mnist, mnist.row(WITHOUT), "full"))
    assert identity(one) != identity(settings(mnist, mnist.row(WITH), "cpu"))
    assert identity(one) != identity(
        settings(chen, chen.row("RK-Net"), "cpu")
    )  # which has other crops
    found = list(reproduce.jobs([mnist, worth], "cpu", [0, 1], reproduce.RUNS))
    assert [job.row.label for job in found] == 2 * [
        WITH,
        WITHOUT,
        "without its ODE block",
        "ResNet 6 in its place",
    ]
    assert len({job.out for job in found}) == 8


PUBLISHED = {
    "chen": "1.60 %, 0.24 M | 0.41 %, 0.60 M | 0.47 %, 0.22 M | 0.42 %, 0.22 M",
    "odenet_mnist": " | 0.41 %, 0.60 M | 0.47 %, 0.22 M | 0.42 %, 0.22 M",
    "mnist": "99 %, 208,266, 26, 2270 | 99 %, 208,266, 26, 1826",
    "qmnist": "99.5 %, 208,266, 26, 2470 | 99.5 %, 208,266, 26, 1883",
    "fashion_mnist": (
        "over 90 %, 280,842, 320, 87 | over 90 %, 428,810, 352, 103 | over 90 %, 724,746, 513, 145"
        " | over 90 %, 208,266, 2453, 540 | over 90 %, 208,266, 1887, 541"
    ),
    "fashion_mnist_chained": (
        "208,266, 2453 | 208,266, 1887 | 283,658, 20, 2857 | 283,658, 20, 3677"
    ),
    "cifar10": "429,962, 261 | 725,898, 484 | 209,418, 26, 1570 | 209,418, 26, 1361",
    "cifar10_tolerance": "209,418, 34, 3252 | 209,418, 52, 4536",
    "cifar100": "435,812, 279 | 731,748, 504 | 215,268, 1793 | 215,268, 1411",
    "cifar100_adam": "435,812 | 731,748 | 215,268 | 215,268",
    "iceberg": "54 % | over 98 % | ",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_was_published(name):
    rows = [
        [row.published[key] for key in MEASURES if key in row.published]
        for row in TABLES[name].rows
    ]
    assert " | ".join(", ".join(cells) for cells in rows) == PUBLISHED[name]


def test_protocols_are_described():
    full, cpu = protocols(TABLES["cifar10_tolerance"])
    assert full.startswith(
        "- `full`: Adam; learning rate 0.001, constant; batches of 128; trained on windows"
    )
    assert (
        "at a tolerance of 0.0001, stepping as torchdiffeq (1e-4); dopri5 at a tolerance of 1e-05"
        in full
    )
    assert cpu == "- `cpu`: the same but for the epochs."
    full, cpu = protocols(TABLES["fashion_mnist"])
    assert (
        "SGD with momentum 0.9; learning rate 0.1, divided by ten after every 0.3 of the epochs;"
        in full
    )
    assert (
        cpu
        == "- `cpu`: learning rate 0.1, falling to zero as a cosine; trained on whole images; all"
        " else but the epochs is the same."
    )
    full, cpu = protocols(TABLES["odenet_mnist"])
    assert (
        "learning rate 0.1, divided by ten after the epochs 60, 100, 140; batches of 128, full ones"
        " alone; trained on images shifted by up to 4 pixels, pixels from 0 to 1;" in full
    )
    assert cpu == (
        "- `cpu`: learning rate 0.1, falling to zero as a cosine; all else but the epochs is the"
        " same."
    )
    assert "Adam, weight decay 0.0001;" in protocols(TABLES["asl_10"])[0]
    assert "convolutions in bfloat16;" in protocols(TABLES["asl_10"])[0]
    assert (
        "SGD (dense net); Adam (residual CNN, CNN with an ODE block);"
        in protocols(TABLES["iceberg"])[0]
    )


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
    assert (
        line(text, "ODE-Net", "`cpu`, 6 epochs")[-1] == "312"
    )  # not the mean: one epoch was disturbed
    assert (
        "Measured: cpu: some, 2 cores; diffrax 0.7.2, flax 0.12, jax 0.10.2, python 3.11; commit"
        " abcdef0123" in text
    )


def test_every_start_of_a_run_is_stated():
    start = {
        "device": "cpu: other",
        "cores": 1,
        "commit": "1234567890abc",
        "date": "2026-11-20",
        "versions": {"python": "3.11", "jax": "0.9.0", "flax": "0.12", "diffrax": "0.7.2"},
    }
    text = document(made("chen", "ODE-Net", earlier_origins=[start]))
    assert (
        "Measured: cpu: other, cpu: some, 1 or 2 cores; diffrax 0.7.2, flax 0.12, jax 0.10.2, jax"
        " 0.9.0, python" in text
    )
    assert "commit 1234567890, abcdef0123; seed 0; 2026-11-20 to 2026-11-21." in text


def test_seeds_give_mean_and_deviation():
    text = document(
        *(made("mnist", WITH, seed=seed, accuracy=0.99 + 0.001 * seed) for seed in (0, 1, 2))
    )
    assert line(text, WITH, "`cpu`, 6 epochs")[0] == "99.10 ± 0.10"
    assert "seed 0, 1, 2;" in text


def test_a_model_that_solves_nothing_has_no_evaluations():
    text = document(made("fashion_mnist", "ResNet 4"))
    assert "–" in line(text, "ResNet 4", "`cpu`, 4 epochs")
    assert (
        line(text, "ResNet 4", "`cpu`, 4 epochs")[-1] == "30"
    )  # of the epoch that evaluated all images


def test_a_smaller_protocol_never_stands_for_the_published_one():
    text = document(made("mnist", WITH, scale="smoke"))
    assert set(line(text, WITH, "`full`")) == set(line(text, WITH, "`cpu`")) == {"not yet run"}
    assert line(text, WITH, "`smoke`, 1 epoch of 256 images of the sample")[0] == "99.00"


def test_tables_of_unsplit_sets_say_how_many_images_there_were():
    text = document(signs("asl_10", "augmented, 16 channels more", [1.0] * 10))
    assert "400" in line(text, "augmented, 16 channels more", "`cpu`, ")
    assert "26.0" in line(text, "augmented, 16 channels more", "`cpu`, ")


def test_a_part_of_a_set_that_comes_in_parts_is_of_its_own_row_alone():
    table = TABLES["asl_29"]
    (row,) = (row for row in table.rows if row.label == "ODENet")
    record = made("asl_29", "ODENet")
    assert record.images == 1450
    assert of_row([record], table, row, "cpu") == [record]
    record.result["train_images"] += 60_000
    assert of_row([record], table, row, "cpu") == []


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
    del record.result["test_macro_f1"]
    keep(record, tmp_path)
    (tmp_path / "z.json").unlink()
    with pytest.raises(
        ConfigError, match=r"is no record of a run: its result has no test_macro_f1"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one: one["result"].update(test_accuracy="0.9"),
            "result: test_accuracy must be a number, got a string",
        ),
        (
            lambda one: one["result"].update(versions=None),
            "result: versions must be an object, got null",
        ),
        (
            lambda one: one["result"].update(
                classification={"by_class": {"A": 1}, "confusion": [[1]]}
            ),
            "A must be an",
        ),
        (
            lambda one: one["result"]["classification"]["confusion"][0].pop(),
            "confusion must be 10 lists of as many",
        ),
        (lambda one: one["history"][2].update(epoch=7), "history, epoch 3: epoch must be 3"),
        (
            lambda one: one["history"][0].update(eval_seconds=None),
            "history, epoch 1: eval_seconds must be a number",
        ),
        (lambda one: one.update(history=[]), "its history has no epoch"),
        (lambda one: one.update(config=[]), "config must be an object, got a list"),
        (lambda one: one.pop("history"), "history is missing"),
    ],
)
def test_of_a_damaged_record_file_and_key_are_named(tmp_path, change, message):
    record = signs("asl_10", "augmented, 16 channels more", [1.0] * 10)
    keep(record, tmp_path)
    (path,) = tmp_path.iterdir()
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(
        ConfigError, match=f"{path.name} is no record of a run: .*{message}"
    ) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b'{"a": 1, "a": 1}', b"[" * 99_999, b'{"result": 1e999}', None]
)
def test_a_file_that_is_no_json_of_ours_is_no_record(tmp_path, content):
    path = tmp_path / "x.json"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.json is no record of a run: ") as caught:
        read(tmp_path)
    assert len(str(caught.value)) < 300


def test_labels_are_unknown_or_unique():
    for table in TABLES.values():
        assert len({row.label for row in table.rows}) == len(table.rows)
    with pytest.raises(ConfigError, match="has no row 'x'"):
        TABLES["mnist"].row("x")
    assert Row("a", {}).published == {}
