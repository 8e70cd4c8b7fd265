"""What to make smaller where memory has run out: whatever takes most of it by the settings."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from jaxode.config import RunConfig

COPIES = {"sgd": 3, "adam": 4}
"""Arrays of the parameters' size in a step: parameters, gradient, and what the optimiser keeps."""

MAPS_A_BLOCK = 8
"""Feature maps that the gradient of one evaluation of a block keeps."""

STAGES = 6
"""Evaluations in a step of the default solver."""

USUAL_WIDTH = 64
SAMPLE_IMAGES = 2500


def smaller(config: RunConfig) -> str:
    """Advice for a run that does not fit into memory."""
    return advice(config, takes(config))


def takes(config: RunConfig) -> dict[str, float]:
    """Bytes of parameters, of a step's feature maps and of the images, roughly."""
    import numpy as np

    from jaxode.data import spec_of, view_shape
    from jaxode.models import describe

    spec = spec_of(config.data)
    # Described at a width that does fit; a chain's parameters grow with its square, its feature
    # maps in proportion.
    growth = config.model.width / USUAL_WIDTH if "width" in config.model.facts.uses else 1
    model = replace(config.model, width=USUAL_WIDTH) if growth != 1 else config.model
    found = describe(
        model, config.solve, image_shape=view_shape(config, spec), classes=spec.classes
    )
    item = 8 if config.precision == "float64" else 4
    count = SAMPLE_IMAGES if config.data.data == "sample" else spec.train_images + spec.test_images
    return {
        "parameters": (
            found["parameters"] * growth**2 * item * COPIES.get(config.optim.optimizer, 4)
        ),
        "maps": batch_in_turn(config) * largest_map(found["shapes"]) * growth * item * maps(config),
        "images": count * spec.image_size**2 * spec.channels * np.dtype(spec.stored_dtype).itemsize,
    }


def batch_in_turn(config: RunConfig) -> int:
    """Images of a batch that are worked through at once."""
    return max(1, config.batch_size // config.parallel.accumulate)


def largest_map(shapes: dict[str, Any]) -> int:
    """Numbers in the largest of the arrays that an image becomes."""
    return max(prod(shape) for shape in shapes.values())


def maps(config: RunConfig) -> int:
    """How many feature maps of each image a training step keeps."""
    one = MAPS_A_BLOCK * max(1, config.model.blocks or 0)
    if not config.model.ode_blocks:
        return one
    solve = config.solve
    steps = {"tape": solve.tape_steps * MAPS_A_BLOCK, "direct": solve.max_steps}
    states = 0 if solve.gradient_facts.backward_solve else solve.max_steps
    return one + config.model.ode_blocks * (
        STAGES * steps.get(config.solve.gradient_facts.name, 0) + states
    )


def advice(config: RunConfig, sizes: dict[str, float]) -> str:
    """What to change, with the size of what is largest."""
    largest = max(sizes, key=lambda name: sizes[name])
    size = f"about {sizes[largest] / 1e9:.3g} GB"
    if largest == "parameters":
        remedy = (
            "a smaller --width or fewer --blocks"
            if "width" in config.model.facts.uses
            else "another --model"
        )
        return f"the parameters, their gradient and the optimiser's state take {size}: use {remedy}"
    if largest == "images":
        fewer = "a smaller --limit-train and --limit-test"
        return f"the images take {size}: use --feed streamed, or {fewer}"
    return f"the feature maps of a training step take {size}: use {', or '.join(for_maps(config))}"


def for_maps(config: RunConfig) -> list[str]:
    """Changes of settings that leave fewer feature maps in memory.

    A setting that is already at its least is left out.
    """
    found = (
        ["a smaller --batch-size, or a larger --accumulate"] if batch_in_turn(config) > 1 else []
    )
    found += (
        ["a smaller --width"]
        if "width" in config.model.facts.uses and config.model.width > 1
        else []
    )
    gradient = config.solve.gradient_facts
    if config.model.ode_blocks and gradient.taped and config.solve.tape_steps > 1:
        found.append("fewer --tape-steps")
    if config.model.ode_blocks and not gradient.backward_solve:
        found.append("--gradient backsolve")
    return found or ["a smaller model"]
