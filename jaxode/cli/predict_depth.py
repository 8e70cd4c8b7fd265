"""`jaxode predict` of a model of depth: maps in metres, and pictures of them."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxode.checks import ConfigError

if TYPE_CHECKING:
    from jaxode.inference import DepthMap


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, predict, write; returns the lines to print."""
    from jaxode.inference import load_depth_model

    for name in ("top", "csv"):
        if getattr(options, name) is not None:
            raise ConfigError(f"{name} must be left out for a model of depth, which has no classes")
    model = load_depth_model(options.run, checkpoint=options.checkpoint, **solve)
    found = model.predict(
        [Path(each) for each in options.pictures], batch_size=min(options.batch_size, 32)
    )
    if options.depth is not None:
        write_maps(options.depth, found)
    return "\n".join(
        f"{each.name}  {each.depth.min():.2f} to {each.depth.max():.2f} m,"
        f" middle {each.depth[each.depth.shape[0] // 2, each.depth.shape[1] // 2]:.2f} m"
        for each in found
    )


def write_maps(folder: Path, found: list[DepthMap]) -> None:
    """Each map as NAME.npy, metres in float32, and as a picture NAME.png beside what was shown.

    Args:
      folder: is made if it does not exist.
      found: maps; a second one of the same name has a number behind it.
    """
    import numpy as np

    from jaxode.plots.depth import DepthPicture, draw_depth
    from jaxode.runs.files import write_whole

    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for each in found:
        stem = name = Path(each.name).stem
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        packed = io.BytesIO()
        np.save(packed, each.depth.astype(np.float32))
        write_whole(folder / f"{name}.npy", packed.getvalue())
        drawn = draw_depth([DepthPicture(stem, each.image, each.depth)], "predicted depth")
        write_whole(folder / f"{name}.png", drawn)
