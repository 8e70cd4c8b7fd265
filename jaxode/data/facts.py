"""What a run records of its images, so that its model can be used where they are not."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxode.data.readers import CLASS_FOLDERS
from jaxode.data.registry import SPECS
from jaxode.data.specs import DatasetSpec
from jaxode.strict_json import need

FACTS = {"class_names": list, "image_size": int, "view_size": int, "mean": list, "std": list}
"""Fields of a data set's specification that are recorded, and what they are in JSON."""


def image_facts(spec: DatasetSpec) -> dict[str, Any]:
    """The recorded facts of a specification, as JSON values."""
    values = {name: getattr(spec, name) for name in FACTS}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def spec_from_facts(name: str, facts: dict[str, Any], where: str) -> DatasetSpec:
    """The specification of a data set with the facts that were recorded of it.

    Args:
      name: of the data set, which need not be registered.
      facts: what `image_facts` returned.
      where: names their place in errors.

    Raises:
      ValueError: a fact that is missing or no such value.
    """
    values = {key: need(facts, key, kind, where) for key, kind in FACTS.items()}
    fixed: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    if name in SPECS:
        return dataclasses.replace(SPECS[name], **fixed)
    return DatasetSpec(name=name, reader=CLASS_FOLDERS, train_images=0, **fixed)
