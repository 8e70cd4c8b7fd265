"""How a folder of pairs is read, and what part of its test pictures is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxode.checks import require_choice
from jaxode.config.dataset_names import NYU_DEPTH
from jaxode.data.depth.folder import DepthSplits, read_depth_folder
from jaxode.data.depth.maps import NYU_QUARTER, DepthUnit

MILLIMETRES = DepthUnit(1000.0)
CROPS = ("eigen", "none")


@dataclass(frozen=True)
class DepthReading:
    """How the pairs of a data set are read and measured.

    Args:
      unit: of depth maps of whole numbers.
      eigen: whether Eigen's crop of test pictures is measured alone.
      test_share: of the pairs, where the folder says no split.
      seed: by which they are drawn.

    Example:
      >>> from jaxode.data.depth import DepthReading
      >>> DepthReading.of("nyuv2").unit.per_metre, DepthReading.of("kitchens").unit.per_metre
      (25.5, 1000.0)
    """

    unit: DepthUnit = MILLIMETRES
    eigen: bool = False
    test_share: float = 0.2
    seed: int = 0

    @classmethod
    def of(
        cls,
        data: str,
        per_metre: float | None = None,
        crop: str | None = None,
        test_share: float = 0.2,
        seed: int = 0,
    ) -> DepthReading:
        """That of a data set by its name.

        Args:
          data: nyuv2 for NYU Depth v2 in 8 bits; any other is in millimetres and measured whole.
          per_metre: value of a metre; None for the data set's own.
          crop: eigen or none; None for the data set's own.
          test_share: as of `DepthReading`.
          seed: as of `DepthReading`.

        Raises:
          ConfigError: a value that is not allowed.
        """
        nyu = data == NYU_DEPTH
        usual = cls(NYU_QUARTER if nyu else MILLIMETRES, nyu, test_share, seed)
        return usual.changed(per_metre, crop)

    @classmethod
    def of_experiment(cls, values: Mapping[str, Any]) -> DepthReading:
        """That of a run of `experiments.depth`, by what its experiment.json holds.

        Args:
          values: the settings of the experiment.

        Raises:
          ConfigError: a value that is not allowed.
          ValueError, TypeError: a setting of another type.
        """
        names = ("per_metre", "crop", "test_share", "seed")
        given = {name: values[name] for name in names if name in values}
        return cls.of(str(values.get("data", "")), **given)

    def changed(self, per_metre: float | None = None, crop: str | None = None) -> DepthReading:
        """Another unit or another part that is measured.

        Args:
          per_metre: value of a metre; None leaves the unit.
          crop: eigen or none; None leaves it.

        Raises:
          ConfigError: a value that is not allowed.
        """
        unit = self.unit if per_metre is None else DepthUnit(per_metre)
        if crop is not None:
            require_choice("crop", crop, CROPS)
        eigen = self.eigen if crop is None else crop == "eigen"
        return dataclasses.replace(self, unit=unit, eigen=eigen)

    def splits(self, folder: Path, size: tuple[int, int] | None = None) -> DepthSplits:
        """The pairs of a folder, as `read_depth_folder`, whose errors it has.

        Args:
          folder: of the data set.
          size: height and width of the canvas; None for those of the first depth map.
        """
        share = {"test_share": self.test_share, "seed": self.seed}
        return read_depth_folder(folder, self.unit, size, **share)
