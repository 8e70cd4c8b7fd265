"""CIFAR-10: colour images of ten classes (Krizhevsky 2009)."""

from jaxode.data.readers import CIFAR
from jaxode.data.registry import register_dataset
from jaxode.data.specs import DatasetSpec, SourceFile

ADDRESS = "https://www.cs.toronto.edu/~kriz/"

BATCH = 10_000 * (1 + 3 * 32 * 32)
"""Bytes of a file: a label and three planes for each image."""

DIGESTS = {
    "data_batch_1.bin": "sha256:cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "sha256:a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "sha256:bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "sha256:014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "sha256:755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
}

SPEC = DatasetSpec(
    name="cifar10",
    reader=CIFAR,
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    image_size=32,
    view_size=28,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.247, 0.2435, 0.2616),
    train_images=50_000,
    test_images=10_000,
    train_files=tuple(SourceFile(name, BATCH, digest) for name, digest in DIGESTS.items()),
    test_files=(
        SourceFile(
            "test_batch.bin",
            BATCH,
            "sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        ),
    ),
    folder="cifar-10-batches-bin",
    archive=SourceFile(
        "cifar-10-binary.tar.gz",
        170052171,
        "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ADDRESS + "cifar-10-binary.tar.gz",
    ),
    pickled_names=("cifar-10-batches-py", "cifar-10-python.tar.gz"),
    sample_digest="8d2dc1cd0881d41e63f42e6f58978752b36909a21b6cf54368c497fe7c44d524",
)

register_dataset(SPEC.name, SPEC)
