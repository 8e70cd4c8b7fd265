"""A plain implementation for comparison: flax.nnx's own layers and a default Diffrax call."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxode.runs.provenance import device
from scripts.bench.cases import Case
from scripts.bench.jax_side import compiled
from scripts.bench.sides import CLASSES, Arrays, Outcome, Problem, Ready


class Field(nnx.Module):
    """norm · ReLU · conv with time · norm · ReLU · conv with time · norm."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        """A field on maps of `width` channels."""
        self.norm1, self.norm2, self.norm3 = (_norm(width, rngs) for _ in range(3))
        self.conv1 = nnx.Conv(width + 1, width, (3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(width + 1, width, (3, 3), rngs=rngs)

    def __call__(self, t: Any, z: jax.Array) -> jax.Array:
        """dz/dt at time t."""
        out = self.conv1(_with_time(t, nnx.relu(self.norm1(z))))
        out = self.conv2(_with_time(t, nnx.relu(self.norm2(out))))
        return self.norm3(out)


class ODENet(nnx.Module):
    """Downsampling, one ODE block, head."""

    def __init__(self, width: int, tolerance: float, rngs: nnx.Rngs) -> None:
        """For grey images and ten classes."""
        self.tolerance = tolerance
        self.conv1 = nnx.Conv(1, width, (3, 3), padding="VALID", rngs=rngs)
        self.norm1 = _norm(width, rngs)
        self.conv2 = nnx.Conv(width, width, (4, 4), strides=2, padding=1, rngs=rngs)
        self.norm2 = _norm(width, rngs)
        self.conv3 = nnx.Conv(width, width, (4, 4), strides=2, padding=1, rngs=rngs)
        self.field = Field(width, rngs)
        self.norm = _norm(width, rngs)
        self.linear = nnx.Linear(width, CLASSES, rngs=rngs)

    def __call__(self, images: jax.Array) -> tuple[jax.Array, Any]:
        """Logits and Diffrax's statistics."""
        z = nnx.relu(self.norm1(self.conv1(images)))
        z = nnx.relu(self.norm2(self.conv2(z)))
        graph, params = nnx.split(self.field)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: nnx.merge(graph, args)(t, y)),
            diffrax.Dopri5(),
            t0=0.0,
            t1=1.0,
            dt0=None,
            y0=self.conv3(z),
            args=params,
            stepsize_controller=diffrax.PIDController(rtol=self.tolerance, atol=self.tolerance),
        )
        assert solution.ys is not None
        return self.linear(nnx.relu(self.norm(solution.ys[0])).mean((1, 2))), solution.stats


def _norm(width: int, rngs: nnx.Rngs) -> nnx.GroupNorm:
    return nnx.GroupNorm(width, num_groups=min(32, width), epsilon=1e-5, rngs=rngs)


def _with_time(t: Any, z: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.full_like(z[..., :1], t), z], axis=-1)


def load(model: ODENet, weights: Arrays) -> None:
    """Put the benchmark's weights into the model."""
    inside = {f"7.odefunc.norm{i}": getattr(model.field, f"norm{i}") for i in (1, 2, 3)}
    inside |= {f"7.odefunc.conv{i}._layer": getattr(model.field, f"conv{i}") for i in (1, 2)}
    outside = {
        "0": model.conv1,
        "1": model.norm1,
        "3": model.conv2,
        "4": model.norm2,
        "6": model.conv3,
    }
    outside |= {"8": model.norm, "12": model.linear}
    layers: dict[str, Any] = inside | outside
    for name, layer in layers.items():
        weight: Any = np.asarray(weights[f"{name}.weight"])
        kernel: Any = layer.scale if isinstance(layer, nnx.GroupNorm) else layer.kernel
        kernel[...] = jnp.asarray(weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T)
        bias: Any = layer.bias
        bias[...] = jnp.asarray(weights[f"{name}.bias"])


def ready(case: Case, problem: Problem) -> Ready:
    """The stock side of a case: loss and gradient."""
    model = ODENet(case.width, case.tolerance, nnx.Rngs(0))
    load(model, problem.weights)
    graph, params = nnx.split(model)
    labels = jnp.asarray(problem.labels)

    def loss(params: Any, images: jax.Array) -> tuple[jax.Array, Any]:
        logits, stats = nnx.merge(graph, params)(images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), (
            logits,
            stats,
        )

    run, seconds, memory = compiled(
        jax.value_and_grad(loss, has_aux=True), params, jnp.asarray(problem.images)
    )
    (value, (logits, stats)), _ = run()
    outcome = Outcome(
        np.asarray(logits),
        float(value),
        nfe_forward=1
        + 6 * int(stats["num_steps"]),  # the last stage of a step is the first of the next
        accepted=int(stats["num_accepted_steps"]),
        rejected=int(stats["num_rejected_steps"]),
    )
    return Ready(run, outcome, seconds, memory, device())
