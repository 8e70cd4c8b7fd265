"""StableHLO by `jax.export`: one file for a CPU, an NVIDIA GPU and a TPU, for any batch size."""

from __future__ import annotations

import jax
from jax import export

from jaxode.checks import ConfigError
from jaxode.export.program import program_of
from jaxode.inference import TrainedModel
from jaxode.nn.kernels import PORTABLE

PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(trained: TrainedModel) -> bytes:
    """The serialized program: uint8 images [B, H, W, C] → probabilities [B, K], B ≥ 1.

    `jax.export.deserialize(bytes).call(images)` runs it, without jaxode.

    Raises:
      ConfigError: an implicit solver, whose linear algebra is of one platform alone; or a missing
        package.
    """
    if trained.config.model.ode_blocks and trained.config.solve.solver_facts.implicit:
        raise ConfigError(
            f"solver must be explicit to be exported, got {trained.config.solve.solver}"
        )
    (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
    images = jax.ShapeDtypeStruct((batch, *trained.image_shape), trained.stored_dtype)
    traced = export.export(jax.jit(program_of(trained, PORTABLE)), platforms=PLATFORMS)(images)
    try:
        return bytes(traced.serialize())
    except ImportError as error:
        raise ConfigError(
            "format stablehlo needs flatbuffers: pip install 'jaxode[export]'"
        ) from error
