"""What the numbers of stored images are: pictures, or bands of a radar.

Imports no JAX until the views of a run are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jaxode.checks import require
from jaxode.config import RunConfig

if TYPE_CHECKING:
    from jaxode.data.preprocessing import Views
    from jaxode.data.specs import DatasetSpec


class ImageKind(Protocol):
    """How stored images become those that a model sees, by the settings of a run."""

    @property
    def unused(self) -> tuple[str, ...]:
        """Settings of `DataConfig` that mean nothing for such images."""
        ...

    def channels(self, config: RunConfig, spec: DatasetSpec) -> int:
        """Channels of what a model sees."""
        ...

    def views(self, config: RunConfig, spec: DatasetSpec) -> Views:
        """The transforms of batches.

        Raises:
          ConfigError: settings that these images do not allow.
        """
        ...


class Pictures:
    """Bytes of grey or of red, green and blue: normalised, resized, cropped and augmented."""

    unused = ("angle",)

    def channels(self, config: RunConfig, spec: DatasetSpec) -> int:
        """Channels as they are stored."""
        return spec.channels

    def views(self, config: RunConfig, spec: DatasetSpec) -> Views:
        """Crops, augmentations and normalisation. Raises ConfigError for `angle`."""
        from jaxode.data.preprocessing import picture_views

        require(not config.data.angle, "angle", True, f"left out for {spec.name}, which has none")
        return picture_views(config, spec)


class RadarBands:
    """Two bands in decibels and the incidence angle in degrees, NaN where it is unknown."""

    unused = ("crop", "augment", "pixels")

    def channels(self, config: RunConfig, spec: DatasetSpec) -> int:
        """Both bands and their mean, with the angle if it is set; or the first band alone."""
        if config.model.facts.single_band:
            return 1
        return 4 if config.data.angle else 3

    def views(self, config: RunConfig, spec: DatasetSpec) -> Views:
        """Normalised bands. Raises ConfigError for augmentations."""
        from jaxode.data.preprocessing import radar_views

        require(
            not config.data.augmentations,
            "augment",
            config.data.augment,
            f"none for {spec.name}, whose images are no pictures",
        )
        pixels = config.data.pixels
        require(pixels == "normalised", "pixels", pixels, f"normalised for {spec.name}")
        return radar_views(config, spec)


PICTURES, RADAR_BANDS = Pictures(), RadarBands()
