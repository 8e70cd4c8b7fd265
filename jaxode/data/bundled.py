"""The samples that ship with the package."""

from __future__ import annotations

import hashlib
import io
from importlib import resources

import numpy as np

from jaxode.data.delta_coding import from_differences
from jaxode.data.specs import Arrays, DataError, DatasetSpec

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
    if hashlib.sha256(contents).hexdigest() != spec.sample_digest:
        raise DataError(f"{what} is damaged: {again}")
    with np.load(io.BytesIO(contents), allow_pickle=False) as stored:
        images = [from_differences(stored[f"{split}_images"]) for split in ("train", "test")]
        labels = [stored[f"{split}_labels"].astype(np.int32) for split in ("train", "test")]
    return (images[0], labels[0]), (images[1], labels[1])
