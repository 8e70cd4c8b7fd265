"""Data: original files → prepared sets → arrays; bundled samples; preprocessing; batches.

The data sets' facts are there at once; names that need JAX are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jaxode.data import sources as sources
from jaxode.data.registry import SPECS as SPECS
from jaxode.data.registry import dataset_names as dataset_names
from jaxode.data.registry import has_predefined_split as has_predefined_split
from jaxode.data.registry import is_registered as is_registered
from jaxode.data.registry import register_dataset as register_dataset
from jaxode.data.registry import register_image_source as register_image_source
from jaxode.data.registry import spec_of as spec_of
from jaxode.data.registry import unregister_dataset as unregister_dataset
from jaxode.data.specs import DataError as DataError
from jaxode.data.specs import DatasetSpec as DatasetSpec
from jaxode.data.specs import SourceFile as SourceFile

if TYPE_CHECKING:
    from jaxode.data.accepted import as_dataset as as_dataset
    from jaxode.data.base import ArrayDataset as ArrayDataset
    from jaxode.data.base import Dataset as Dataset
    from jaxode.data.image_set import ImageSet as ImageSet
    from jaxode.data.loading import load as load
    from jaxode.data.loading import load_dataset as load_dataset
    from jaxode.data.preprocessing import Views as Views
    from jaxode.data.preprocessing import view_shape as view_shape
    from jaxode.data.preprocessing import views as views
    from jaxode.data.streaming import BatchStream as BatchStream
    from jaxode.data.streaming import StreamedDataset as StreamedDataset

LATER = {
    "ArrayDataset": "jaxode.data.base",
    "BatchStream": "jaxode.data.streaming",
    "Dataset": "jaxode.data.base",
    "ImageSet": "jaxode.data.image_set",
    "StreamedDataset": "jaxode.data.streaming",
    "Views": "jaxode.data.preprocessing",
    "as_dataset": "jaxode.data.accepted",
    "load": "jaxode.data.loading",
    "load_dataset": "jaxode.data.loading",
    "view_shape": "jaxode.data.preprocessing",
    "views": "jaxode.data.preprocessing",
}
"""Names that are imported when they are first used, since JAX takes seconds."""

__all__ = [
    "SPECS",
    "DataError",
    "DatasetSpec",
    "SourceFile",
    "dataset_names",
    "has_predefined_split",
    "is_registered",
    "register_dataset",
    "spec_of",
    "unregister_dataset",
    *LATER,
]


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'jaxode.data' has no attribute {name!r}")
    return getattr(importlib.import_module(LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER})
