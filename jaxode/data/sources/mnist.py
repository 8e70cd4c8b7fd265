"""MNIST: handwritten digits (LeCun, Bottou, Bengio and Haffner 1998)."""

from jaxode.data.readers import IDX
from jaxode.data.registry import register_dataset
from jaxode.data.specs import DatasetSpec, Unpacked, files_below

ADDRESS = "https://storage.googleapis.com/cvdf-datasets/mnist/"

SPEC = DatasetSpec(
    name="mnist",
    reader=IDX,
    class_names=tuple("0123456789"),
    image_size=28,
    view_size=28,
    mean=(0.1307,),
    std=(0.3081,),
    train_images=60_000,
    test_images=10_000,
    train_files=files_below(
        ADDRESS,
        (
            "train-images-idx3-ubyte.gz",
            9912422,
            "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            Unpacked(
                16 + 60_000 * 28 * 28,
                "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
        ),
        (
            "train-labels-idx1-ubyte.gz",
            28881,
            "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            Unpacked(
                8 + 60_000,
                "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
        ),
    ),
    test_files=files_below(
        ADDRESS,
        (
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            Unpacked(
                16 + 10_000 * 28 * 28,
                "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            Unpacked(
                8 + 10_000,
                "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    ),
    torchvision_folder="MNIST",
    sample_digest="ce77b2df43335d4fbf9f2c96fd68e73ac2353ff6a9547bb6b53a3a2a7ff275e0",
)

register_dataset(SPEC.name, SPEC)
