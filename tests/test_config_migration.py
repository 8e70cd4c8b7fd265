"""Settings of earlier versions are read; those of later ones are refused."""

import json

import pytest

from jaxode.checks import ConfigError
from jaxode.config import DataConfig, RunConfig
from jaxode.config.keys import ALWAYS
from jaxode.config.migration import SCHEMA, migrated, stored


def test_settings_are_stored_with_their_schema():
    settings = RunConfig().to_json()
    assert stored(settings)["schema"] == SCHEMA
    assert RunConfig.from_json(migrated(json.loads(json.dumps(stored(settings))))) == RunConfig()


def test_the_first_config_json_is_still_read():
    every = RunConfig().to_json()
    first = {name: every[name] for name in ALWAYS[""]}
    for prefix, names in ALWAYS.items():
        if prefix:
            first[prefix[:-1]] = {name: every[prefix[:-1]][name] for name in names}
    assert RunConfig.from_json(migrated(first)) == RunConfig()


def test_an_empty_data_dir_of_an_earlier_version_is_none():
    settings = RunConfig().to_json()
    settings["data"]["data_dir"] = ""
    assert RunConfig.from_json(migrated(settings)).data.data_dir is None
    with pytest.raises(ConfigError, match="data_dir must be a text that is not empty"):
        DataConfig(data_dir="")
    with pytest.raises(ConfigError, match="data_dir must be a text that is not empty"):
        RunConfig.from_json(migrated(stored(settings)))


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, "2", None, True, 2.0])
def test_a_schema_that_is_not_known_is_named(schema):
    with pytest.raises(ValueError, match=f"schema must be a whole number from 1 to {SCHEMA}"):
        migrated({**RunConfig().to_json(), "schema": schema})
