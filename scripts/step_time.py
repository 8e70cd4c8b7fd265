"""How long one training step takes in each gradient mode, and for ResNet 6, compile time apart.

    python -m scripts.step_time --batch-size 128 --repeats 10

The variants run in turn within each round, so that a machine whose speed drifts slows all of them; the medians are
printed with the spread. "temporary MB" is XLA's own figure for the compiled step.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.config import GradientName, ModelConfig, SolveConfig
from jaxode.losses import cross_entropy
from jaxode.nn import build_classifier
from jaxode.train.provenance import device

VARIANTS: dict[str, tuple[ModelConfig, SolveConfig]] = {
    **{f"odenet {mode}": (ModelConfig("odenet"), SolveConfig(gradient=mode)) for mode in get_args(GradientName)},
    "resnet 6": (ModelConfig("resnet"), SolveConfig()),
}


def compiled_step(model: ModelConfig, solve: SolveConfig, images: jax.Array) -> tuple[Callable[[], Any], float, float]:
    """A call that computes loss, statistics and gradient; seconds of compilation; temporary megabytes."""
    built = build_classifier(model, solve, image_shape=images.shape[1:], classes=10, rngs=nnx.Rngs(0))  # type: ignore[arg-type]
    graph, params = nnx.split(built)
    labels, weights = jnp.arange(len(images)) % 10, jnp.ones(len(images))

    def loss(params: Any, images: jax.Array) -> tuple[jax.Array, Any]:
        logits, stats = nnx.merge(graph, params)(images)
        return cross_entropy(logits, labels, weights), stats

    begin = time.perf_counter()
    step = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params, images).compile()
    seconds = time.perf_counter() - begin
    memory: Any = step.memory_analysis()
    return lambda: jax.block_until_ready(step(params, images)), seconds, memory.temp_size_in_bytes / 1e6


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m scripts.step_time",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--batch-size", type=int, default=128, metavar="N", help="images in a step (default: 128)")
    parser.add_argument("--repeats", type=int, default=10, metavar="N", help="rounds after the first (default: 10)")
    options = parser.parse_args(argv)
    if options.batch_size < 1 or options.repeats < 1:
        parser.error("--batch-size and --repeats must be at least 1")
    images = jax.random.normal(jax.random.key(0), (options.batch_size, 28, 28, 1))
    steps = {name: compiled_step(*variant, images) for name, variant in VARIANTS.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(options.repeats + 1):
        for name, (call, _, _) in steps.items():
            begin = time.perf_counter()
            call()
            if round_:  # the first round warms up
                times[name].append(time.perf_counter() - begin)
    print(f"{device()}, Python {platform.python_version()}, jax {jax.__version__}, batch {options.batch_size}")
    print(f"{'variant':<22}{'median s':>10}{'min s':>8}{'max s':>8}{'compile s':>11}{'temporary MB':>14}")
    for name, seconds in times.items():
        _, compiling, megabytes = steps[name]
        middle, low, high = statistics.median(seconds), min(seconds), max(seconds)
        print(f"{name:<22}{middle:>10.3f}{low:>8.3f}{high:>8.3f}{compiling:>11.1f}{megabytes:>14.0f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
