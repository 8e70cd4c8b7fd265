"""Every table: of Chen et al. 2018, of Gładzik 2019, of two plans, and this project's own."""

from __future__ import annotations

from jaxode.config import PROTOCOLS
from scripts.tables.plans import PLANNED
from scripts.tables.table import Row, Table
from scripts.tables.thesis import ADJOINT, THESIS, THROUGH, resnet

CHEN = Table(
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
        Row("RK-Net", THROUGH, {"test_error": "0.47 %", "parameters": "0.22 M"}),
        Row("ODE-Net", ADJOINT, {"test_error": "0.42 %", "parameters": "0.22 M"}),
    ),
    6,
    {"epochs": 160, "crop": "pad"},
    "RK-Net is the ODE block trained through the steps of the solver, ODE-Net by the adjoint"
    " method. The shifts are those of the authors' example script. Published besides: memory O(L)"
    " for the ResNet of L layers, O(L̃) for RK-Net with L̃ evaluations, O(1) for ODE-Net; time"
    " O(L), O(L̃), O(L̃). Ours: `python -m scripts.claims memory size`.",
)

SCRIPT = Table(
    "odenet_mnist",
    "MNIST, by the protocol of torchdiffeq's odenet_mnist.py",
    "mnist",
    (
        Row("ResNet 6", resnet(6)),
        Row(
            "ResNet 6, residual downsampling",
            {**resnet(6), "downsampling_method": "res"},
            {"test_error": "0.41 %", "parameters": "0.60 M"},
        ),
        Row("RK-Net", THROUGH, {"test_error": "0.47 %", "parameters": "0.22 M"}),
        Row("ODE-Net", ADJOINT, {"test_error": "0.42 %", "parameters": "0.22 M"}),
    ),
    6,
    PROTOCOLS["odenet_mnist"].settings,
    "The same table of Chen et al. 2018 with every setting as their script has it (`python -m"
    " experiments.mnist --protocol odenet_mnist`). Of its two ways of downsampling the residual one"
    " gives a ResNet of the published size. The script evaluates after the first step of an epoch,"
    " where ours evaluates after its last.",
    {"schedule": "cosine"},
)
"""Chen et al.'s models by the program that they published."""

SHORT_SCRIPT = Table(
    "odenet_mnist_40",
    "MNIST, by the protocol of odenet_mnist.py in a quarter of its epochs",
    "mnist",
    tuple(Row(row.label, row.settings) for row in SCRIPT.rows),
    6,
    {**SCRIPT.settings, "epochs": 40, "milestones": "15,25,35"},
    "40 epochs in place of 160, with the rate divided by ten after 15, 25 and 35 in place of 60,"
    " 100 and 140. Nobody published this protocol, and its figures are not those of Chen et al.",
    {"schedule": "cosine", "milestones": SCRIPT.settings["milestones"]},  # so the runs are SCRIPT's
)
"""What a machine without a GPU can run of the script's protocol in a day."""

OWN = (
    Table(
        "mnist_tight",
        "MNIST, trained at a tight tolerance",
        "mnist",
        (Row("ODENet at 1e-5", {**THROUGH, "rtol": 1e-5, "atol": 1e-5}),),
        2,
        {},
        "The run behind the measurement of a net that is evaluated more loosely than it was"
        " trained.",
    ),
    Table(
        "mnist_worth",
        "MNIST, with and without the ODE block",
        "mnist",
        (
            Row("ODENet", THROUGH),
            Row("without its ODE block", resnet(0)),
            Row("ResNet 6 in its place", resnet(6)),
        ),
        6,
    ),
)
"""What other measurements need beside the published runs."""

TABLES = {table.name: table for table in (CHEN, SCRIPT, SHORT_SCRIPT, *THESIS, *OWN, *PLANNED)}
"""In the order of the document."""

FIRST = (
    "mnist", "odenet_mnist_40", "fashion_mnist", "cifar10", "cifar10_tolerance",
    "fashion_mnist_chained", "mnist_worth", "mnist_tight", "cifar100", "cifar100_adam", "asl_10",
    "asl_29",
)  # fmt: skip
LAST = ("odenet_mnist", "chen", "cifar100_200", "cifar100_200_adam")

WORTH = (*FIRST, *(name for name in TABLES if name not in (*FIRST, *LAST)), *LAST)
"""The tables in the order in which a queue runs them: what is compared most often first, and the
protocols of 160 and 200 epochs last, each of which takes days."""
