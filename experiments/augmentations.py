"""A sheet of the augmentations: for each an original picture and augmented ones.

Source: Buslaev et al. (2020), Albumentations; S. Mukherjee, S. Sarkar, "Rule Discovery using Neural
  ODEs – ASL Classification", for the choice of them; DeVries and Taylor (2017) for cutout.
Expected: hands turned, mirrored and of other colours, with the shape of the sign left in nearly all
  of them.
Time: about half a minute on 2 CPU cores.

    python -m experiments.augmentations --images asl_alphabet --out runs/augmentations

The folder's subfolders are classes; one picture of each of several is shown. Writes README.md and
augmentations.png.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.dynamics import command
from jaxode.checks import SEEDS, Range, require
from jaxode.config import check_fields, setting

if TYPE_CHECKING:
    from jaxode.runs import Progress


@dataclass(frozen=True)
class AugmentationsConfig:
    """What is shown. Raises ConfigError on values outside the stated ranges."""

    images: str | None = setting(
        None,
        "folder of JPEG or PNG files, or of folders of them (default: CIFAR-10's sample)",
        path=True,
    )
    seed: int = setting(0, "seed of the draws", SEEDS)
    side: int = setting(64, "pixels a side of a picture", Range(8, 256))

    def __post_init__(self) -> None:
        check_fields(self)
        # Path.is_dir raises an error for a folder within one that may not be entered.
        folder = self.images is None or os.path.isdir(self.images)
        require(folder, "images", self.images, "a folder")


def work(config: AugmentationsConfig, out: Path, progress: Progress, words: str) -> str:
    """Draw and write; returns the last line to print."""
    from experiments.views import report

    return report.write(config.images, config.seed, config.side, out, progress, words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return command.main(
        argv,
        name="experiments.augmentations",
        doc=__doc__ or "",
        settings=AugmentationsConfig,
        out=Path("runs/augmentations"),
        work=work,
    )


if __name__ == "__main__":
    raise SystemExit(main())
