"""QMNIST: MNIST with the whole test split of 60,000 digits (Yadav and Bottou 2019)."""

from jaxode.data.readers import IDX
from jaxode.data.registry import register_dataset
from jaxode.data.specs import DatasetSpec, Unpacked, files_below

ADDRESS = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"

# The images were not at hand: their size follows from the format, and their checksum is recorded
# when they are prepared.

SPEC = DatasetSpec(
    name="qmnist",
    reader=IDX,
    class_names=tuple("0123456789"),
    image_size=28,
    view_size=28,
    mean=(0.1307,),
    std=(0.3081,),
    train_images=60_000,
    test_images=60_000,
    train_files=files_below(
        ADDRESS,
        (
            "qmnist-train-images-idx3-ubyte.gz",
            None,
            "md5:ed72d4157d28c017586c42bc6afe6370",
            Unpacked(16 + 60_000 * 28 * 28, None),
        ),
        (
            "qmnist-train-labels-idx2-int.gz",
            463024,
            "md5:0058f8dd561b90ffdd0f734c6a30e5e4",
            Unpacked(
                12 + 60_000 * 8 * 4,
                "sha256:bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5",
            ),
        ),
    ),
    test_files=files_below(
        ADDRESS,
        (
            "qmnist-test-images-idx3-ubyte.gz",
            None,
            "md5:1394631089c404de565df7b7aeaf9412",
            Unpacked(16 + 60_000 * 28 * 28, None),
        ),
        (
            "qmnist-test-labels-idx2-int.gz",
            526800,
            "md5:5b5b05890a5e13444e108efe57b788aa",
            Unpacked(
                12 + 60_000 * 8 * 4,
                "sha256:92d0ccb8c25f9c6534270fb4be7e1d24a1c6d315edfc8a638bfbd31c70f362dd",
            ),
        ),
    ),
    torchvision_folder="QMNIST",
)

register_dataset(SPEC.name, SPEC)
