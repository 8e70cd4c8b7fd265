"""The classifiers of radar images against PyTorch's, in float64: outputs, running statistics and
gradients.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.config import SolveConfig
from jaxode.interop import from_torch, torch_names
from jaxode.losses import cross_entropy
from jaxode.models import create_model
from jaxode.nn.dropout import Dropout
from jaxode.nn.kernels import choose_kernels
from jaxode.types import Training

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from scripts.parity.bounds import BOUNDS, gradient_bound  # noqa: E402
from scripts.parity.measure import relative  # noqa: E402
from scripts.parity.settings import their_settings  # noqa: E402
from scripts.parity.subjects import first  # noqa: E402
from torch_ref.iceberg import build  # noqa: E402

SOLVE = SolveConfig(solver="rk4", step_size=0.5)
IMAGES, SIDE = (
    3,
    70,
)  # 70 → 35 → 17 → 8 → 4 → 2: odd sides are pooled, and the last maximum is over four pixels


def reference(kind, channels):
    """PyTorch's model, which drops nothing; norms and their running statistics are neither ones nor
    zeros.
    """
    torch.manual_seed(0)
    model = build(kind, channels=channels, side=SIDE, settings=their_settings(SOLVE)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer += 0.1 * torch.rand_like(buffer)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def same_model(kind, channels, theirs):
    """Ours with the reference's numbers, and what draws them together: {name: array} of theirs →
    ours.
    """
    model = nnx.eval_shape(
        lambda: create_model(
            kind,
            SOLVE,
            image_shape=(SIDE, SIDE, channels),
            classes=2,
            rngs=nnx.Rngs(0),
            dtype=jnp.float64,
            kernels=choose_kernels(),
        )
    )
    nnx.update(
        model,
        from_torch(model, {name: value.numpy() for name, value in theirs.state_dict().items()}),
    )
    for _, module in nnx.iter_graph(model):
        if isinstance(module, Dropout):
            module.rate = 0.0
    return model


@pytest.mark.parametrize(("kind", "channels"), [("dense", 1), ("cnn", 3), ("odecnn", 3)])
def test_outputs_statistics_and_gradients_are_pytorchs(kind, channels, x64):
    theirs = reference(kind, channels)
    model = same_model(kind, channels, theirs)
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(IMAGES, SIDE, SIDE, channels)), np.array([1, 0, 1])
    graph, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)

    @jax.jit
    def both(params, stats, images):
        def loss(params, images):
            built = nnx.merge(graph, params, stats, copy=True)
            logits, _ = built(
                images, Training(jax.random.split(jax.random.key(0), IMAGES), jnp.ones(IMAGES))
            )
            return cross_entropy(logits, labels, jnp.ones(IMAGES), IMAGES), (
                logits,
                nnx.state(built, nnx.BatchStat),
            )

        found, (logits, after) = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, images)
        return logits, found, after, nnx.merge(graph, params, stats)(images)[0]

    logits, (to_params, to_images), after, evaluated = both(params, stats, images)

    theirs.eval()
    pixels = torch.from_numpy(first(images)).requires_grad_()
    their_evaluated = theirs(pixels).detach()
    theirs.train()
    their_logits = theirs(pixels)
    torch.nn.functional.cross_entropy(their_logits, torch.from_numpy(labels)).backward()

    names, own = torch_names(model), dict(theirs.named_parameters())
    turned = from_torch(
        model, dict(theirs.state_dict()) | {name: value.grad for name, value in own.items()}
    )
    by_path = {tuple(path): value[...] for path, value in nnx.to_flat_state(turned)}
    ours = {tuple(path): value[...] for path, value in nnx.to_flat_state(to_params)}
    assert {names[path] for path in ours} == set(own)
    output, gradient = BOUNDS["float64", "output"].limit, gradient_bound("float64", "tape").limit
    assert relative([evaluated], [their_evaluated]) < output
    assert relative([logits], [their_logits.detach()]) < output
    assert relative(list(ours.values()), [by_path[path] for path in ours]) < gradient
    assert relative([to_images], [pixels.grad.permute(0, 2, 3, 1)]) < gradient
    for path, value in nnx.to_flat_state(after):
        if (
            path[-1] == "mean"
        ):  # the variance, which PyTorch keeps otherwise, is compared where the layer is tested
            assert relative([value[...]], [by_path[tuple(path)]]) < output
