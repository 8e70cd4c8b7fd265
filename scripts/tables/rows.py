"""Every published table: which runs make its rows, and what was published of each.

Sources: the thesis of 2019 that compares ODENet with ResNet (PyTorch 1.3.0, torchdiffeq 0.0.1, 4-core CPU; its
accuracies are those of the training images), and table 1 of Chen et al. 2018 (test error).
"""

from __future__ import annotations

from scripts.tables.plans import PLANNED
from scripts.tables.table import Published, Row, Settings, Table

ADJOINT: Settings = {"model": "odenet", "stepping": "torchdiffeq", "gradient": "backsolve"}
THROUGH: Settings = {"model": "odenet", "stepping": "torchdiffeq", "gradient": "tape"}
"""Through the steps of the solver: the thesis's "without adjoint", Chen et al.'s RK-Net."""

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

    def told(train: int) -> Published:
        return seconds(train) if first else {}

    return Table(
        name,
        f"CIFAR-100, {epochs} epochs, {'SGD' if optimizer == 'sgd' else 'Adam'}",
        "cifar100",
        (
            Row("ResNet 4", resnet(4), told(279)),
            Row("ResNet 8", resnet(8), told(504)),
            *odenets(told(1793), told(1411)),
        ),
        cpu_epochs,
        {"epochs": epochs, "optimizer": optimizer},
        "Published: the ODENets converge to a lower limit than the ResNets.",
    )


WHOLE_IMAGES = (
    "`cpu` trains on whole images: after so few epochs, the enlarged crops of the published protocol cost accuracy on"
    " the whole images of evaluation (ResNet 2: 85.14 % of the test images after 4 epochs,"
    " `python -m experiments.fashion_mnist --model resnet --blocks 2 --epochs 4 --schedule cosine`)."
)

TABLES = {
    table.name: table
    for table in (
        Table(
            "chen",
            "MNIST, table 1 of Chen et al. 2018",
            "mnist",
            (
                Row(
                    "1-layer MLP",
                    {"model": "mlp", "crop": "none"},
                    {"test_error": "1.60 %", "parameters": "0.24 M"},
                    cpu_epochs=30,
                ),
                Row("ResNet 6", resnet(6), {"test_error": "0.41 %", "parameters": "0.60 M"}),
                Row("RK-Net", THROUGH, {"test_error": "0.47 %", "parameters": "0.22 M", "nfe": "–"}),
                Row("ODE-Net", ADJOINT, {"test_error": "0.42 %", "parameters": "0.22 M", "nfe": "–"}),
            ),
            6,
            {"epochs": 160, "crop": "pad"},
            "RK-Net is the ODE block trained through the steps of the solver, ODE-Net by the adjoint method. Training"
            " images are shifted by up to 4 pixels, as in the authors' example script; the MLP's are not.",
        ),
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
                Row("2 blocks, without adjoint", {**THROUGH, "blocks": 2}, {"nfe": "20", **seconds(3677)}),
            ),
            4,
            {},
            "Published: no accuracy is gained by the second block. Evaluations are those of one block. " + WHOLE_IMAGES,
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
                Row("1e-4", {**THROUGH, "rtol": 1e-4, "atol": 1e-4}, {"nfe": "34", **seconds(3252)}),
                Row("1e-5", {**THROUGH, "rtol": 1e-5, "atol": 1e-5}, {"nfe": "52", **seconds(4536)}),
            ),
            1,
            {"epochs": 25, "optimizer": "adam", "lr": 1e-3, "schedule": "constant"},
            "Whether these runs used the adjoint method was not published; here they do without.",
        ),
        cifar100("cifar100", 100, "sgd", 4),
        cifar100("cifar100_adam", 100, "adam", 4),
        cifar100("cifar100_200", 200, "sgd", 5),
        cifar100("cifar100_200_adam", 200, "adam", 5),
        Table(
            "mnist_tight",
            "MNIST, trained at a tight tolerance",
            "mnist",
            (Row("ODENet at 1e-5", {**THROUGH, "rtol": 1e-5, "atol": 1e-5}),),
            2,
            {},
            "The run behind the measurement of a net that is evaluated more loosely than it was trained.",
        ),
        Table(
            "mnist_worth",
            "MNIST, with and without the ODE block",
            "mnist",
            (Row("ODENet", THROUGH), Row("without its ODE block", resnet(0)), Row("ResNet 6 in its place", resnet(6))),
            6,
        ),
        *PLANNED,
    )
}
