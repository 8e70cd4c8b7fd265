"""ONNX by jax2onnx, for models whose ODE blocks have fixed steps."""

from __future__ import annotations

from typing import Any

import jax
from jax import export
from jax.extend.core import jaxpr_as_fun

from jaxode.checks import ConfigError
from jaxode.export.program import program_of
from jaxode.inference import TrainedModel
from jaxode.nn import convolution, normalization
from jaxode.nn.kernels import Kernels

KERNELS = Kernels(convolution.library, normalization.group_norm_any_mode)
"""XLA's convolution becomes ONNX's."""


def to_onnx(trained: TrainedModel) -> bytes:
    """The serialized model: `images` uint8 [B, H, W, C] → `probabilities` [B, K].

    Steps of a fixed size are unrolled. The converter has no loop whose length depends on data, so
    an adaptive solve is refused: choose a step size with `trained.with_solve(step_size=...)`.

    Raises:
      ConfigError: an adaptive or implicit solve, or a missing package.
    """
    config = trained.config
    if config.model.ode_blocks and config.solve.step_size is None:
        raise ConfigError(
            "format onnx needs a fixed step size, since ONNX's converter has no adaptive loop; got"
            f" {config.solve.solver} with adaptive steps: choose a step size, 0.1 say"
        )
    try:
        import jax2onnx
    except ImportError as error:
        raise ConfigError("format onnx needs jax2onnx: pip install 'jaxode[onnx]'") from error
    (batch,) = export.symbolic_shape("B")
    images = jax.ShapeDtypeStruct((batch, *trained.image_shape), trained.stored_dtype)
    # Traced before the converter replaces functions of jax.numpy by its own, which libraries that
    # ask for shapes do not expect.
    traced = jax.make_jaxpr(program_of(trained, KERNELS, unroll=True))(images)

    def images_to_probabilities(images: Any) -> Any:
        return jaxpr_as_fun(traced)(images)[0]

    model: Any = jax2onnx.to_onnx(
        images_to_probabilities,
        inputs=[images],
        model_name="jaxode",
        input_names=["images"],
        output_names=["probabilities"],
    )
    return model.SerializeToString()
