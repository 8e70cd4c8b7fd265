"""Ships and icebergs in radar images, from Kaggle's Statoil/C-CORE challenge."""

from jaxode.data.image_kinds import RADAR_BANDS
from jaxode.data.readers import RadarJSON
from jaxode.data.registry import register_dataset
from jaxode.data.specs import DatasetSpec

SOURCE = (
    "https://www.kaggle.com/c/statoil-iceberg-classifier-challenge (train.json,"
    " unpacked from train.json.7z: a list of objects, each with band_1 and band_2, 75 x"
    ' 75 numbers in dB, inc_angle, degrees or "na", and is_iceberg, 0 or 1)'
)

SPEC = DatasetSpec(
    name="iceberg",
    reader=RadarJSON("train.json"),
    class_names=("ship", "iceberg"),
    image_size=75,
    view_size=75,
    # Round figures near the bands' decibels and the angle's degrees; not of the training images.
    mean=(-20.0, -25.0, 39.0),
    std=(5.0, 5.0, 4.0),
    train_images=1_604,
    test_share=304 / 1_604,
    source=SOURCE,
    images=RADAR_BANDS,
    stored_dtype="float32",
    crops=("none",),
)

register_dataset(SPEC.name, SPEC)
