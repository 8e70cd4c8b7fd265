"""The data sets: what their images are, and the original files they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from string import ascii_uppercase
from typing import Literal

import numpy as np

from jaxode.checks import require
from jaxode.config import DataConfig, DatasetName

Arrays = tuple[np.ndarray, np.ndarray]
"""Images [N, H, W, C], uint8 or a radar's float32, and labels int32 [N]."""


class DataError(ValueError):
    """Images that cannot be had, or files that are not what they should be."""


@dataclass(frozen=True)
class SourceFile:
    """An original file: name, exact size in bytes and digest.

    A digest reads "sha256:…" or "md5:…"; size and digest are given where known.
    """

    name: str
    size: int | None
    digest: str | None
    url: str | None = None


@dataclass(frozen=True)
class DatasetSpec:
    """A data set. `mean` and `std` are of the training pixels / 255, channel by channel."""

    name: DatasetName
    layout: Literal["idx", "cifar", "folders", "bands"]
    class_names: tuple[str, ...]
    image_size: int
    """Pixels a side of an image as it is stored."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_files: tuple[SourceFile, ...]
    test_files: tuple[SourceFile, ...]
    train_images: int
    test_images: int
    """Images of a set that is whole; of one that comes unsplit, all in `train_images`."""
    view_size: int = 28
    """Pixels a side of what a model sees."""
    test_share: float | None = None
    """Share held out for testing, of a set that comes unsplit; None for one that comes split."""
    source: str = ""
    """Where a set comes from that has no address to fetch it from, and what it must look like."""
    folder: str | None = None
    """Folder inside the archive."""
    archive: SourceFile | None = None
    sampled: bool = False
    """Whether a sample ships with the package."""
    label_bytes: int = 1
    """CIFAR records: bytes before the pixels, the last of them the class."""

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Planes of an image as it is stored."""
        return len(self.mean)

    @property
    def unsplit(self) -> bool:
        """Whether the set comes in one piece, which a seed splits."""
        return self.test_share is not None

    @property
    def stored(self) -> type[np.generic]:
        """Type of the stored numbers: bytes of a picture, or a radar's decibels."""
        return np.float32 if self.layout == "bands" else np.uint8

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All files that hold images and labels."""
        return self.train_files + self.test_files


def _idx(base: str, *rows: tuple[str, int | None, str]) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(name, size, digest, base + name) for name, size, digest in rows)


_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_QMNIST = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_DIGITS = tuple("0123456789")

_CIFAR100_CLASSES = (
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
)
_CIFAR10_BATCH = 10_000 * 3073

SPECS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="mnist",
            layout="idx",
            class_names=_DIGITS,
            image_size=28,
            mean=(0.1307,),
            std=(0.3081,),
            train_files=_idx(
                _MNIST,
                (
                    "train-images-idx3-ubyte.gz",
                    9912422,
                    "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                (
                    "train-labels-idx1-ubyte.gz",
                    28881,
                    "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
            ),
            test_files=_idx(
                _MNIST,
                (
                    "t10k-images-idx3-ubyte.gz",
                    1648877,
                    "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                (
                    "t10k-labels-idx1-ubyte.gz",
                    4542,
                    "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ),
            train_images=60_000,
            test_images=10_000,
            sampled=True,
        ),
        DatasetSpec(
            name="fashion_mnist",
            layout="idx",
            class_names=(
                "T-shirt/top",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle boot",
            ),
            image_size=28,
            mean=(0.2860,),
            std=(0.3530,),
            train_files=_idx(
                _FASHION,
                (
                    "train-images-idx3-ubyte.gz",
                    26421880,
                    "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                (
                    "train-labels-idx1-ubyte.gz",
                    29515,
                    "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
            ),
            test_files=_idx(
                _FASHION,
                (
                    "t10k-images-idx3-ubyte.gz",
                    4422102,
                    "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                (
                    "t10k-labels-idx1-ubyte.gz",
                    5148,
                    "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
            train_images=60_000,
            test_images=10_000,
            sampled=True,
        ),
        DatasetSpec(
            name="qmnist",
            layout="idx",
            class_names=_DIGITS,
            image_size=28,
            mean=(0.1307,),
            std=(0.3081,),
            train_files=_idx(
                _QMNIST,
                ("qmnist-train-images-idx3-ubyte.gz", None, "md5:ed72d4157d28c017586c42bc6afe6370"),
                ("qmnist-train-labels-idx2-int.gz", 463024, "md5:0058f8dd561b90ffdd0f734c6a30e5e4"),
            ),
            test_files=_idx(
                _QMNIST,
                ("qmnist-test-images-idx3-ubyte.gz", None, "md5:1394631089c404de565df7b7aeaf9412"),
                ("qmnist-test-labels-idx2-int.gz", 526800, "md5:5b5b05890a5e13444e108efe57b788aa"),
            ),
            train_images=60_000,
            test_images=60_000,
        ),
        DatasetSpec(
            name="cifar10",
            layout="cifar",
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
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
            train_files=tuple(
                SourceFile(f"data_batch_{number}.bin", _CIFAR10_BATCH, f"sha256:{digest}")
                for number, digest in enumerate(
                    (
                        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                    ),
                    start=1,
                )
            ),
            test_files=(
                SourceFile(
                    "test_batch.bin",
                    _CIFAR10_BATCH,
                    "sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                ),
            ),
            train_images=50_000,
            test_images=10_000,
            folder="cifar-10-batches-bin",
            archive=SourceFile(
                "cifar-10-binary.tar.gz",
                170052171,
                "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                _CIFAR + "cifar-10-binary.tar.gz",
            ),
            sampled=True,
        ),
        DatasetSpec(
            name="cifar100",
            layout="cifar",
            class_names=_CIFAR100_CLASSES,
            image_size=32,
            mean=(0.5071, 0.4865, 0.4409),
            std=(0.2673, 0.2564, 0.2762),
            train_files=(SourceFile("train.bin", 50_000 * 3074, None),),
            test_files=(SourceFile("test.bin", 10_000 * 3074, None),),
            train_images=50_000,
            test_images=10_000,
            folder="cifar-100-binary",
            archive=SourceFile(
                "cifar-100-binary.tar.gz",
                168513733,
                "sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                _CIFAR + "cifar-100-binary.tar.gz",
            ),
            label_bytes=2,
        ),
        DatasetSpec(
            name="asl_alphabet",
            layout="folders",
            class_names=(*ascii_uppercase, "del", "nothing", "space"),
            image_size=64,
            mean=(0.485, 0.456, 0.406),  # ImageNet's
            std=(0.229, 0.224, 0.225),
            train_files=(),
            test_files=(),
            train_images=87_000,
            test_images=0,
            view_size=64,
            test_share=0.2,
            source=(
                "https://www.kaggle.com/datasets/grassknotted/asl-alphabet (asl-alphabet.zip, or"
                " the folder it unpacks to: one folder of pictures a class, A to Z, del, nothing,"
                " space)"
            ),
            folder="asl_alphabet_train",
        ),
        DatasetSpec(
            name="iceberg",
            layout="bands",
            class_names=("ship", "iceberg"),
            image_size=75,
            # Round figures near the bands' decibels and the angle's degrees; not of the training
            # images.
            mean=(-20.0, -25.0, 39.0),
            std=(5.0, 5.0, 4.0),
            train_files=(),
            test_files=(),
            train_images=1_604,
            test_images=0,
            view_size=75,
            test_share=304 / 1_604,
            source=(
                "https://www.kaggle.com/c/statoil-iceberg-classifier-challenge (train.json,"
                " unpacked from train.json.7z: a list of objects, each with band_1 and band_2, 75 x"
                ' 75 numbers in dB, inc_angle, degrees or "na", and is_iceberg, 0 or 1)'
            ),
        ),
    )
}


def spec_of(config: DataConfig) -> DatasetSpec:
    """The data set that settings ask for, of the classes that they ask for. Raises ConfigError."""
    require(config.dataset in SPECS, "dataset", config.dataset, f"one of {', '.join(SPECS)}")
    spec, count = SPECS[config.dataset], config.classes
    if count is None:
        return spec
    require(
        count <= spec.classes,
        "classes",
        count,
        f"at most {spec.classes}, the classes of {spec.name}",
    )
    return replace(spec, class_names=spec.class_names[:count])


def is_unsplit(name: str) -> bool:
    """Whether a data set of this name comes without a test split, which is then drawn by a seed."""
    return name in SPECS and SPECS[name].unsplit
