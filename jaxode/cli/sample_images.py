"""`jaxode sample` of a flow of images: a sheet or an array of samples, log-densities of images."""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxode.checks import ConfigError, one_line

if TYPE_CHECKING:
    import numpy as np

    from jaxode.models import ImageFlow

BATCH = 100
"""Images that are solved together."""

COLUMNS = 16
"""Of a sheet."""

USUAL = Path("samples.png")


def is_of_images(run: Path) -> bool:
    """Whether a directory is a run of a flow of images."""
    from jaxode.models.image_flow_config import FILE

    return (run / FILE).is_file()


def work(options: argparse.Namespace, solve: Mapping[str, Any]) -> str:
    """Draw images into a PNG sheet or an .npy file, or give log-densities of images in nats.

    Args:
      options: those of `jaxode sample`.
      solve: settings that replace those of the run.

    Raises:
      ConfigError: a run or a file that cannot be read.
      SolveError: a solve failed.
    """
    import numpy as np

    from jaxode.plots.image_sheet import image_sheet
    from jaxode.runs.files import write_whole

    flow = load_flow(options.run, options.checkpoint, solve)
    if options.log_density is not None:
        found = log_densities(flow, read_images(options.log_density, flow.shape))
        if options.out is None:
            return "\n".join(f"{number:.6g}" for number in found)
    else:
        found = samples(flow, options.n, options.seed)
    out = options.out or USUAL
    if out.suffix == ".png" and options.log_density is None:
        write_whole(out, image_sheet(found, COLUMNS))
    else:
        packed = io.BytesIO()
        np.save(packed, found)
        write_whole(out, packed.getvalue())
    return f"{list(found.shape)} written to {out}"


def load_flow(run: Path, checkpoint: Any, solve: Mapping[str, Any]) -> ImageFlow:
    """The trained flow of a run, solved with other settings if any are given.

    Raises ConfigError.
    """
    from flax import nnx

    from jaxode.inference import load
    from jaxode.models import ImageFlow
    from jaxode.models.image_flow_config import FILE, ImageFlowConfig, create_image_flow
    from jaxode.runs import read_config
    from jaxode.strict_json import read_object

    try:
        which = ImageFlowConfig.from_json(read_object(run / FILE))
        config = read_config(run, ImageFlow).solve
    except ValueError as error:
        raise ConfigError(one_line(error)) from error
    trained: Any = load(
        run, model=create_image_flow(which, config, nnx.Rngs(0)), checkpoint=checkpoint
    )
    replaced = trained.config.replaced(**solve).solve
    for flow in trained.model.flows:
        flow.solve = replaced
    return trained.model


def samples(flow: ImageFlow, count: int, seed: int) -> np.ndarray:
    """Bytes [count, H, W, C]. Raises SolveError."""
    import jax
    import numpy as np

    size = min(count, BATCH)
    draw, parts = jax.jit(lambda key: flow.sample(key, size)), []
    for k in range(-(-count // size)):
        images, stats = draw(jax.random.fold_in(jax.random.key(seed), k))
        stats.check()
        parts.append(np.asarray(images))
    return np.concatenate(parts)[:count]


def log_densities(flow: ImageFlow, images: np.ndarray) -> np.ndarray:
    """Log-densities [N] in nats, by Hutchinson's estimate with a fixed draw. Raises SolveError."""
    import jax
    import numpy as np

    size = min(len(images), BATCH)
    count = -(-len(images) // size)
    evaluate, parts = jax.jit(lambda pixels: flow(pixels)), []
    for part in np.split(np.resize(images, (count * size, *images.shape[1:])), count):
        log_p, stats = evaluate(part)
        stats.check()
        parts.append(np.asarray(log_p))
    return np.concatenate(parts)[: len(images)]


def read_images(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Bytes [N, H, W, C] of an .npy file, whose one channel may be left out. Raises ConfigError."""
    import numpy as np

    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    if isinstance(images, np.ndarray) and images.ndim == 3 and shape[2] == 1:
        images = images[..., None]
    bytes_ = isinstance(images, np.ndarray) and images.dtype == np.uint8
    if not bytes_ or images.shape[1:] != shape or not len(images):
        got = f"{getattr(images, 'dtype', None)} {list(getattr(images, 'shape', ()))}"
        wanted = ", ".join(map(str, shape))
        raise ConfigError(f"{path} must be an array [N, {wanted}] of bytes, got {got}")
    return images
