"""ASL Alphabet: pictures of hand signs, from Kaggle."""

from string import ascii_uppercase

from jaxode.data.readers import CLASS_FOLDERS
from jaxode.data.registry import register_dataset
from jaxode.data.specs import DatasetSpec

SPEC = DatasetSpec(
    name="asl_alphabet",
    reader=CLASS_FOLDERS,
    class_names=(*ascii_uppercase, "del", "nothing", "space"),
    image_size=64,
    view_size=64,
    mean=(0.485, 0.456, 0.406),  # ImageNet's
    std=(0.229, 0.224, 0.225),
    train_images=87_000,
    test_share=0.2,
    source=(
        "https://www.kaggle.com/datasets/grassknotted/asl-alphabet (asl-alphabet.zip, or"
        " the folder it unpacks to: one folder of pictures a class, A to Z, del, nothing,"
        " space)"
    ),
    folder="asl_alphabet_train",
)

register_dataset(SPEC.name, SPEC)
