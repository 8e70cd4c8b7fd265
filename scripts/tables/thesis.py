"""The tables of Gładzik 2019, which compares ODENet with ResNet: their runs and published results.

Source: F. Gładzik 2019, "Comparison of ResNet and ODENet neural network" (docs/sources.md), of
PyTorch 1.3.0 and torchdiffeq 0.0.1 on a CPU of 4 cores; its accuracies are those of the training
images.
"""

from __future__ import annotations

from dataclasses import replace

from scripts.tables.table import Published, Row, Settings, Table

ADJOINT: Settings = {"model": "odenet", "stepping": "torchdiffeq", "gradient": "backsolve"}
THROUGH: Settings = {"model": "odenet", "stepping": "torchdiffeq", "gradient": "tape"}
"""Through the steps of the solver: Gładzik's "without adjoint", Chen et al.'s RK-Net."""

WITH, WITHOUT = "ODENet, adjoint", "ODENet, without adjoint"


def resnet(blocks: int) -> Settings:
    """Settings of a ResNet."""
    return {"model": "resnet", "blocks": blocks}


def odenets(adjoint: Published, through: Published) -> tuple[Row, Row]:
    """The two rows of an ODENet, with and without the adjoint method."""
    return Row(WITH, ADJOINT, adjoint), Row(WITHOUT, THROUGH, through)


def seconds(train: int, validation: int | None = None) -> Published:
    """Published times of an epoch."""
    found = {"epoch_seconds": str(train)}
    return found if validation is None else {**found, "eval_seconds": str(validation)}


def cifar100(name: str, epochs: int, optimizer: str, cpu_epochs: int) -> Table:
    """One of the four runs on CIFAR-100; times were published for the first."""
    first = (epochs, optimizer) == (100, "sgd")

    def times(train: int) -> Published:
        return seconds(train) if first else {}

    return Table(
        name,
        f"CIFAR-100, {epochs} epochs, {'SGD' if optimizer == 'sgd' else 'Adam'}",
        "cifar100",
        (
            Row("ResNet 4", resnet(4), times(279)),
            Row("ResNet 8", resnet(8), times(504)),
            *odenets(times(1793), times(1411)),
        ),
        cpu_epochs,
        {"epochs": epochs, "optimizer": optimizer},
        "Published: the ODENets converge to a lower limit than the ResNets.",
    )


GREY = {
    ("odenet", 1): "208,266",
    ("odenet", 2): "283,658",
    ("resnet", 2): "280,842",
    ("resnet", 4): "428,810",
    ("resnet", 8): "724,746",
}
COUNTS = {
    "mnist": GREY,
    "qmnist": GREY,
    "fashion_mnist": GREY,
    "cifar10": {("odenet", 1): "209,418", ("resnet", 4): "429,962", ("resnet", 8): "725,898"},
    "cifar100": {("odenet", 1): "215,268", ("resnet", 4): "435,812", ("resnet", 8): "731,748"},
}
"""Parameters by data set, model and blocks."""


def counted(table: Table) -> Table:
    """The table with the published numbers of parameters."""
    counts = COUNTS[table.dataset]

    def with_count(row: Row) -> Row:
        count = counts[row.settings["model"], row.settings.get("blocks", 1)]
        return replace(row, published={**row.published, "parameters": count})

    return replace(table, rows=tuple(map(with_count, table.rows)))


WHOLE_IMAGES = (
    "`cpu` trains on whole images: after so few epochs, the enlarged crops of the published"
    " protocol cost accuracy on the whole images of evaluation (ResNet 2: 85.14 % of the test"
    " images after 4 epochs, `python -m experiments.fashion_mnist --model resnet --blocks 2"
    " --epochs 4 --schedule cosine`)."
)

THESIS = tuple(
    counted(table)
    for table in (
        Table(
            "mnist",
            "MNIST",
            "mnist",
            odenets(
                {"train_accuracy": "99 %", "nfe": "26", **seconds(2270)},
                {"train_accuracy": "99 %", "nfe": "26", **seconds(1826)},
            ),
            6,
        ),
        Table(
            "qmnist",
            "QMNIST",
            "qmnist",
            odenets(
                {"train_accuracy": "99.5 %", "nfe": "26", **seconds(2470)},
                {"train_accuracy": "99.5 %", "nfe": "26", **seconds(1883)},
            ),
            6,
        ),
        Table(
            "fashion_mnist",
            "Fashion-MNIST",
            "fashion_mnist",
            (
                Row("ResNet 2", resnet(2), {"train_accuracy": "over 90 %", **seconds(320, 87)}),
                Row("ResNet 4", resnet(4), {"train_accuracy": "over 90 %", **seconds(352, 103)}),
                Row("ResNet 8", resnet(8), {"train_accuracy": "over 90 %", **seconds(513, 145)}),
                *odenets(
                    {"train_accuracy": "over 90 %", **seconds(2453, 540)},
                    {"train_accuracy": "over 90 %", **seconds(1887, 541)},
                ),
            ),
            4,
            {},
            WHOLE_IMAGES,
            {"crop": "none"},
        ),
        Table(
            "fashion_mnist_chained",
            "Fashion-MNIST, one and two ODE blocks",
            "fashion_mnist",
            (
                Row("1 block, adjoint", ADJOINT, seconds(2453)),
                Row("1 block, without adjoint", THROUGH, seconds(1887)),
                Row("2 blocks, adjoint", {**ADJOINT, "blocks": 2}, {"nfe": "20", **seconds(2857)}),
                Row(
                    "2 blocks, without adjoint",
                    {**THROUGH, "blocks": 2},
                    {"nfe": "20", **seconds(3677)},
                ),
            ),
            4,
            {},
            "Published: no accuracy is gained by the second block. Evaluations are those of one"
            " block. " + WHOLE_IMAGES,
            {"crop": "none"},
        ),
        Table(
            "cifar10",
            "CIFAR-10",
            "cifar10",
            (
                Row("ResNet 4", resnet(4), seconds(261)),
                Row("ResNet 8", resnet(8), seconds(484)),
                *odenets({"nfe": "26", **seconds(1570)}, {"nfe": "26", **seconds(1361)}),
            ),
            4,
            {},
            "Published: the ODENets are clearly worse than the ResNets.",
        ),
        Table(
            "cifar10_tolerance",
            "CIFAR-10, tighter tolerances",
            "cifar10",
            (
                Row(
                    "1e-4", {**THROUGH, "rtol": 1e-4, "atol": 1e-4}, {"nfe": "34", **seconds(3252)}
                ),
                Row(
                    "1e-5", {**THROUGH, "rtol": 1e-5, "atol": 1e-5}, {"nfe": "52", **seconds(4536)}
                ),
            ),
            1,
            {"epochs": 25, "optimizer": "adam", "lr": 1e-3, "schedule": "constant"},
            "Whether these runs used the adjoint method was not published; here they do without.",
        ),
        cifar100("cifar100", 100, "sgd", 4),
        cifar100("cifar100_adam", 100, "adam", 4),
        cifar100("cifar100_200", 200, "sgd", 5),
        cifar100("cifar100_200_adam", 200, "adam", 5),
    )
)
"""In the order of the document."""
