"""The samples that ship with the package."""

from __future__ import annotations

import hashlib
import io
from importlib import resources

import numpy as np

from jaxode.data.delta_coding import from_differences
from jaxode.data.specs import Arrays, DataError, DatasetSpec

SHA256 = {
    "mnist": "ce77b2df43335d4fbf9f2c96fd68e73ac2353ff6a9547bb6b53a3a2a7ff275e0",
    "fashion_mnist": "754540dd556c3a8af81ba3ed2a4637c0b01cb4167867c07e9f6d4aab6938a9e7",
    "cifar10": "8d2dc1cd0881d41e63f42e6f58978752b36909a21b6cf54368c497fe7c44d524",
}
"""Of each file, as `scripts.prepare_data` wrote it."""

FOLDER = resources.files("jaxode.data").joinpath("samples")


def read_sample(spec: DatasetSpec) -> tuple[Arrays, Arrays]:
    """Training and test arrays of a set's bundled sample.

    Raises DataError if its file is missing or damaged.
    """
    path = FOLDER.joinpath(f"{spec.name}.npz")
    what, again = f"the bundled sample {path}", "install jaxode again"
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise DataError(f"{what} cannot be read ({error.strerror}): {again}") from error
    if hashlib.sha256(contents).hexdigest() != SHA256[spec.name]:
        raise DataError(f"{what} is damaged: {again}")
    with np.load(io.BytesIO(contents), allow_pickle=False) as stored:
        images = [from_differences(stored[f"{split}_images"]) for split in ("train", "test")]
        labels = [stored[f"{split}_labels"].astype(np.int32) for split in ("train", "test")]
    return (images[0], labels[0]), (images[1], labels[1])
