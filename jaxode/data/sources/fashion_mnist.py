"""Fashion-MNIST: articles of clothing (Xiao, Rasul and Vollgraf 2017)."""

from jaxode.data.readers import IDX
from jaxode.data.registry import register_dataset
from jaxode.data.specs import DatasetSpec, Unpacked, files_below

ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

SPEC = DatasetSpec(
    name="fashion_mnist",
    reader=IDX,
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
    view_size=28,
    mean=(0.286,),
    std=(0.353,),
    train_images=60_000,
    test_images=10_000,
    train_files=files_below(
        ADDRESS,
        (
            "train-images-idx3-ubyte.gz",
            26421880,
            "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            Unpacked(
                16 + 60_000 * 28 * 28,
                "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
        ),
        (
            "train-labels-idx1-ubyte.gz",
            29515,
            "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            Unpacked(
                8 + 60_000,
                "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
        ),
    ),
    test_files=files_below(
        ADDRESS,
        (
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            Unpacked(
                16 + 10_000 * 28 * 28,
                "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            Unpacked(
                8 + 10_000,
                "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
    ),
    torchvision_folder="FashionMNIST",
    sample_digest="754540dd556c3a8af81ba3ed2a4637c0b01cb4167867c07e9f6d4aab6938a9e7",
)

register_dataset(SPEC.name, SPEC)
