"""The tables of the ASL alphabet and of the icebergs.

Sources: S. Mukherjee, S. Sarkar, "Rule Discovery using Neural ODEs – ASL Classification"; B. Thind,
"A Gentle Introduction to Neural Differential Equations" (docs/sources.md).
"""

from __future__ import annotations

from dataclasses import replace

from scripts.tables.table import Row, Settings, Table

RESNET: Settings = {"model": "resnet", "blocks": 6}
AUGMENTED: Settings = {"augment_dims": 16}
PICTURES = (
    "No result was published. Mukherjee and Sarkar propose all 87,000 pictures; `cpu` has 50 of"
    " each class, drawn from them. A fifth of every class is for testing. `upright` mirrors no"
    " picture; the few steps of `cpu` are not augmented."
)
ON_CPU: Settings = {"schedule": "step", "precision": "float32", "batch_size": 32}
"""With so few pictures, batches of 128 would be four steps an epoch."""


PICTURES_A_CLASS = {"full": 3000, "cpu": 50}


def alphabet(
    name: str,
    title: str,
    rows: tuple[Row, ...],
    cpu_epochs: int,
    text: str,
    *,
    classes: int,
    **settings: object,
) -> Table:
    """A table of runs on the first classes of the ASL alphabet."""
    images = {scale: classes * count for scale, count in PICTURES_A_CLASS.items()}
    return Table(
        name,
        title,
        "asl_alphabet",
        rows,
        cpu_epochs,
        {"classes": classes, **settings},
        text,
        ON_CPU,
        images,
    )


def models(count: int, which: str, cpu_epochs: int) -> Table:
    """The table of the models on the first `count` classes."""
    table = alphabet(
        f"asl_{count}",
        f"ASL alphabet, {which} classes",
        (Row("ResNet 6", RESNET), Row("ODENet", {}), Row("augmented, 16 channels more", AUGMENTED)),
        cpu_epochs,
        PICTURES if count == 10 else "Pictures and protocols are those of the first 10 classes.",
        classes=count,
    )
    return replace(table, cpu_settings={**table.cpu_settings, "augment": "none"})


PLANNED = (
    models(10, "first 10", 150),
    models(29, "all 29", 60),
    alphabet(
        "asl_augmentations",
        "ASL alphabet, what augmentations do",
        (
            Row("none", {"augment": "none"}),
            Row("reflections alone", {"augment": "transpose,horizontal_flip,vertical_flip"}),
            Row("all but reflections", {"augment": "upright"}),
            Row("all nine", {"augment": "all"}),
        ),
        150,
        "ResNet 6, first 10 classes. Reflections are transpose and flips.",
        classes=10,
        **RESNET,
    ),
    alphabet(
        "asl_rate",
        "ASL alphabet, Mukherjee and Sarkar's learning rate",
        (Row("1e-14, Mukherjee and Sarkar's", {"lr": 1e-14}), Row("1e-3", {"lr": 1e-3})),
        20,
        "ResNet 6, first 10 classes, without augmentation.",
        classes=10,
        augment="none",
        **RESNET,
    ),
    Table(
        "iceberg",
        "Icebergs and ships",
        "iceberg",
        (
            Row(
                "dense net",
                {"model": "dense", "optimizer": "sgd", "lr": 0.01, "momentum": 0.0},
                {"test_accuracy": "54 %"},
            ),
            Row("residual CNN", {"model": "cnn"}, {"test_accuracy": "over 98 %"}),
            Row("CNN with an ODE block", {"model": "odecnn"}),
        ),
        10,
        {"schedule": "constant"},
        "Published (Thind) for 1,300 training images; whether the accuracies are those of the other"
        " 304 images was not stated, and the row of a neural ODE was left empty. `train.json`"
        " has to be downloaded from Kaggle.",
        images={"full": 1604, "cpu": 1604},
    ),
)
"""In the order of the document."""
