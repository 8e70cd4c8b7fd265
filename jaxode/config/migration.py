"""Settings as they are stored, and those of earlier versions brought up to date.

A config.json and a checkpoint's settings carry the number of the schema that they are written by.
What has no number was written by schema 1, up to November 2026.
"""

from __future__ import annotations

from jaxode.config.keys import require_object
from jaxode.strict_json import JsonObject

SCHEMA = 2
"""Of what this version writes."""


def stored(settings: JsonObject) -> JsonObject:
    """Settings with the number of their schema, to be written.

    Args:
        settings: as `RunConfig.to_json` returns them.
    """
    return {"schema": SCHEMA, **settings}


def migrated(values: object) -> JsonObject:
    """Stored settings as this version writes them, without the number of their schema.

    Raises:
      ValueError: a later version has written them, or they are no object.
    """
    settings = require_object("the settings of a run", values)
    schema = settings.pop("schema", 1)
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise ValueError(
            f"schema must be a whole number from 1 to {SCHEMA}, which this version reads, got"
            f" {str(schema)[:60]}"
        )
    return _from_first(settings) if schema == 1 else settings


def _from_first(settings: JsonObject) -> JsonObject:
    """Settings of schema 1, whose first runs had no `parallel`, and "" for no `data_dir`."""
    settings = {"parallel": {}, **settings}
    data = settings.get("data")
    if isinstance(data, dict) and data.get("data_dir") == "":
        settings["data"] = {**data, "data_dir": None}
    return settings
