"""Every number of every class of settings has a range, is in it by default, and is checked."""

import dataclasses
import importlib
import math
import re
from pathlib import Path

import pytest

from experiments.augmentations import AugmentationsConfig
from experiments.densities.config import OF_IMAGES, DensityConfig
from experiments.depths.config import DepthConfig
from experiments.detections.config import DetectionConfig
from experiments.dynamics.crossing_config import CrossingConfig
from experiments.timeseries.config import SeriesConfig
from jaxode.checks import ConfigError, Range
from jaxode.config import PARTS, RunConfig, SolveConfig, hints

SETTINGS = (
    *PARTS.values(),
    RunConfig,
    CrossingConfig,
    AugmentationsConfig,
    DensityConfig,
    DepthConfig,
    DetectionConfig,
    SeriesConfig,
)

COMPANIONS = {
    **{(DensityConfig, name): {"target": "mnist", "data_dir": "data"} for name in OF_IMAGES},
    (SeriesConfig, "step_size"): {"data": "vowels", "data_dir": "data"},
    (DepthConfig, "image_height"): {"image_width": 64},
    (DepthConfig, "image_width"): {"image_height": 64},
    (DepthConfig, "per_metre"): {"data": "folder"},
    "blocks": {"model": "resnet"},
    "step_size": {"max_steps": 100_000},
    "backward_rtol": {"gradient": "backsolve"},
    "backward_atol": {"gradient": "backsolve"},
    "validation": {"target": "points.npy"},
}
"""Other settings without which an end of a range would be refused for another reason."""

FIELD = re.compile(r"^    \w+: .* = setting\(", re.MULTILINE)

NUMBERS = [
    (kind, spec.name)
    for kind in SETTINGS
    for spec in dataclasses.fields(kind)
    if hints(kind)[spec.name] in (int, float)
]


def range_of(kind, name):
    (spec,) = (spec for spec in dataclasses.fields(kind) if spec.name == name)
    return spec.metadata["within"]


def companions(kind, name):
    """Those of a setting that the class has too."""
    names = {spec.name for spec in dataclasses.fields(kind)}
    found = COMPANIONS.get((kind, name)) or COMPANIONS.get(name, {})
    return {other: value for other, value in found.items() if other in names}


def refusal(kind, **values):
    """The one line with which values are refused."""
    with pytest.raises(ConfigError) as caught:
        kind(**values)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 400
    return line


def test_every_class_of_settings_is_among_those_tested():
    here = Path(__file__).parents[1]
    paths = [
        path
        for room in ("jaxode", "experiments", "scripts")
        for path in (here / room).rglob("*.py")
    ]
    found = {
        ".".join(p.relative_to(here).with_suffix("").parts)
        for p in paths
        if FIELD.search(p.read_text())
    }
    assert found == {kind.__module__ for kind in SETTINGS}
    for name in found:
        classes = [
            thing
            for thing in vars(importlib.import_module(name)).values()
            if dataclasses.is_dataclass(thing)
        ]
        own = {
            kind
            for kind in classes
            if any("help" in spec.metadata for spec in dataclasses.fields(kind))
        }
        assert own <= set(SETTINGS)


@pytest.mark.parametrize(
    ("kind", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_number_has_a_range_whose_ends_are_allowed(kind, name):
    within = range_of(kind, name)
    assert isinstance(within, Range)
    assert math.isfinite(within.at_least)
    assert math.isfinite(within.at_most)
    assert kind().__class__ is kind  # the default is allowed
    for end in within:
        assert getattr(kind(**{name: end}, **companions(kind, name)), name) == end


@pytest.mark.parametrize(
    ("kind", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_number_beyond_its_range_is_refused(kind, name):
    whole, (low, high) = hints(kind)[name] is int, range_of(kind, name)
    below, above = (
        (low - 1, high + 1)
        if whole
        else (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
    )
    allowed = f"{name} must be a {'whole ' if whole else ''}number {range_of(kind, name)}, got "
    for value in (below, above, True, "1", [1], -math.inf):
        assert refusal(kind, **{name: value}) == f"{allowed}{value!r}"
    assert refusal(kind, **{name: math.nan}) == f"{allowed}nan"
    assert refusal(kind, **{name: 10**5000}) == f"{allowed}a whole number of about 5001 digits"
    if whole:
        assert refusal(kind, **{name: float(low)}) == f"{allowed}{float(low)!r}"


def test_an_odenet_has_fewer_blocks_than_a_resnet():
    assert RunConfig().replaced(blocks=32).model.blocks == 32
    assert RunConfig().replaced(blocks=0).model.blocks == 0
    with pytest.raises(ConfigError, match="blocks must be at most 32 for the odenet, got 33"):
        RunConfig().replaced(blocks=33)


def test_a_batch_has_no_more_parts_than_images():
    assert RunConfig().replaced(batch_size=8, accumulate=8).parallel.accumulate == 8
    with pytest.raises(ConfigError, match="accumulate must be at most the batch_size, 8, got 9"):
        RunConfig().replaced(batch_size=8, accumulate=9)


def test_a_step_size_and_the_number_of_steps_reach_the_end():
    assert SolveConfig(step_size=1e-5, max_steps=100_000).step_size == 1e-5
    with pytest.raises(
        ConfigError, match=r"step_size must be at least 1/max_steps = 0\.00390625, got 0\.001"
    ):
        SolveConfig(step_size=1e-3)
