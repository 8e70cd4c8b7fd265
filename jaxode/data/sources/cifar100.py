"""CIFAR-100: colour images of a hundred classes (Krizhevsky 2009)."""

from jaxode.data.readers import CIFAR
from jaxode.data.registry import register_dataset
from jaxode.data.specs import DatasetSpec, SourceFile

ADDRESS = "https://www.cs.toronto.edu/~kriz/"

RECORD = 2 + 3 * 32 * 32
"""Bytes of an image: label of the superclass, label, three planes."""

CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

SPEC = DatasetSpec(
    name="cifar100",
    reader=CIFAR,
    class_names=tuple(CLASSES.split()),
    image_size=32,
    view_size=28,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    train_images=50_000,
    test_images=10_000,
    train_files=(SourceFile("train.bin", 50_000 * RECORD, None),),
    test_files=(SourceFile("test.bin", 10_000 * RECORD, None),),
    folder="cifar-100-binary",
    archive=SourceFile(
        "cifar-100-binary.tar.gz",
        168513733,
        "sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ADDRESS + "cifar-100-binary.tar.gz",
    ),
    label_bytes=2,
    pickled_names=("cifar-100-python", "cifar-100-python.tar.gz"),
)

register_dataset(SPEC.name, SPEC)
