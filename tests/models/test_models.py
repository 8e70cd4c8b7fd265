"""Whole classifiers: exact parameter counts, shapes, costs, gradients against finite differences,
refusals.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.config import ModelConfig, SolveConfig
from jaxode.models import ODENet, create_model, describe, parameter_count
from jaxode.nn import native
from jaxode.nn.kernels import ANY_MODE
from jaxode.ode import Stats

# Gładzik's table: grey with 10 classes, RGB with 10, RGB with 100; and both nets without their
# blocks
COUNTS = {
    ("odenet", 0): (132_874, 134_026, 139_876),
    ("resnet", 0): (132_874, 134_026, 139_876),
    ("odenet", 1): (208_266, 209_418, 215_268),
    ("odenet", 2): (283_658, 284_810, 290_660),
    ("resnet", 2): (280_842, 281_994, 287_844),
    ("resnet", 4): (428_810, 429_962, 435_812),
    ("resnet", 6): (576_778, 577_930, 583_780),
    ("resnet", 8): (724_746, 725_898, 731_748),
}
SETS = ((1, 10), (3, 10), (3, 100))


@pytest.fixture(params=["native", "matmul"])
def kernels(request, monkeypatch):
    """Float32 models run on the native kernels, and on those of a machine without them."""
    if request.param == "native" and not native.load():
        pytest.skip(native.unavailable_reason())
    monkeypatch.setenv("JAXODE_KERNELS", request.param)


@pytest.mark.parametrize("which", range(3), ids=["grey-10", "rgb-10", "rgb-100"])
@pytest.mark.parametrize(("kind", "blocks"), COUNTS)
def test_parameter_counts_of_the_thesis(kind, blocks, which):
    channels, classes = SETS[which]
    model = nnx.eval_shape(
        lambda: create_model(
            ModelConfig(kind, blocks),
            SolveConfig(),
            image_shape=(28, 28, channels),
            classes=classes,
            rngs=nnx.Rngs(0),
        )
    )
    assert parameter_count(model) == COUNTS[kind, blocks][which]


@pytest.mark.parametrize(("blocks", "more"), [(1, 5), (2, 16)])
def test_more_channels_make_fields_and_head_wider(blocks, more):
    facts = describe(
        ModelConfig("odenet", blocks, 64, more), SolveConfig(), image_shape=(28, 28, 1), classes=10
    )
    wide = 64 + more
    field, head = 2 * (9 * (wide + 1) * wide + wide) + 3 * 2 * wide, 2 * wide + 10 * wide + 10
    downsampling = COUNTS["odenet", 0][0] - 12 * 64 - 10
    assert facts["parameters"] == downsampling + blocks * field + head
    assert facts["augment_dims"] == more
    assert (facts["shapes"]["downsampled"], facts["shapes"]["features"]) == (
        [6, 6, 64],
        [6, 6, wide],
    )
    reference = pytest.importorskip("torch_ref.model")
    theirs = reference.build("odenet", blocks, channels=1, classes=10, augment=more)
    assert facts["parameters"] == sum(parameter.numel() for parameter in theirs.parameters())


@pytest.mark.parametrize(
    ("stem", "side", "least"), [("quarter", 15, 6), ("eighth", 7, 10), ("sixteenth", 3, 18)]
)
def test_a_deeper_stem_makes_a_smaller_map(stem, side, least):
    model = ModelConfig("resnet", 2, stem=stem)
    facts = describe(model, SolveConfig(), image_shape=(64, 64, 3), classes=29)
    assert (facts["shapes"]["downsampled"], facts["stem"]) == ([side, side, 64], stem)
    reference = pytest.importorskip("torch_ref.model")
    theirs = reference.build(
        "resnet", 2, channels=3, classes=29, convolutions=model.stem_convolutions
    )
    assert facts["parameters"] == sum(parameter.numel() for parameter in theirs.parameters())
    one = describe(model, SolveConfig(), image_shape=(least, least, 3), classes=29)
    assert one["shapes"]["downsampled"] == [1, 1, 64]
    with pytest.raises(
        ConfigError, match=f"at least {least} pixels a side for stem {stem}, got {least - 1}"
    ):
        describe(model, SolveConfig(), image_shape=(least - 1, least, 3), classes=29)


class Unchanged(nnx.Module):
    """In place of an ODE block."""

    def __call__(self, z):
        return z, Stats(*4 * [jnp.zeros((), jnp.int32)])


def test_more_channels_stand_last_and_are_zero_before_the_first_block(kernels):
    built = _build(shape=(8, 8, 1))
    model = ODENet(built.downsample, [Unchanged(), Unchanged()], built.head, augment=3)
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 1))
    z, mapped = model.features(images)[0], built.downsample(images)
    assert z.shape[-1] == 8 + 3
    np.testing.assert_array_equal(z[..., :8], mapped)
    np.testing.assert_array_equal(z[..., 8:], 0)


def test_parameter_count_of_the_mlp():
    facts = describe(ModelConfig("mlp"), SolveConfig(), image_shape=(28, 28, 1), classes=10)
    assert facts["parameters"] == 238_510


def _build(
    kind="odenet", blocks=None, width=8, shape=(12, 12, 1), classes=4, dtype=jnp.float32, **solve
):
    model, config = ModelConfig(kind, blocks, width), SolveConfig(**solve)
    return create_model(
        model, config, image_shape=shape, classes=classes, rngs=nnx.Rngs(0), dtype=dtype
    )


def test_kernels_that_are_given_are_used_everywhere():
    options = {"image_shape": (8, 8, 1), "classes": 2, "rngs": nnx.Rngs(0), "kernels": ANY_MODE}
    model = create_model(ModelConfig(width=4), SolveConfig(), **options)
    found = [module.kernels for _, module in nnx.iter_modules(model) if hasattr(module, "kernels")]
    assert len(found) == 11
    assert set(found) == {ANY_MODE}
    assert model.downsample.fused is None


@pytest.mark.parametrize(
    ("kind", "blocks", "shape"),
    [
        *(("odenet", 1, shape) for shape in ((12, 12, 1), (28, 28, 3), (11, 14, 2))),
        ("odenet", 2, (12, 12, 1)),
        ("resnet", 2, (11, 14, 2)),
        ("mlp", None, (11, 14, 2)),
    ],
)
def test_logits_and_statistics_have_their_shapes(kind, blocks, shape, kernels):
    model = _build(kind, blocks, shape=shape)
    logits, stats = jax.jit(lambda x: model(x))(jnp.ones((3, *shape)))
    assert logits.shape == (3, 4)
    assert stats.nfe.shape == (blocks if kind == "odenet" else 0,)
    stats.check()


@pytest.mark.parametrize("kind", ["odenet", "resnet"])
def test_without_blocks_the_head_reads_what_was_downsampled(kind, kernels):
    model = _build(kind, 0)
    x = jax.random.normal(jax.random.key(1), (2, 12, 12, 1))
    logits, stats = jax.jit(model)(x)
    np.testing.assert_array_equal(logits, jax.jit(lambda x: model.head(model.downsample(x)))(x))
    assert stats.check().nfe.shape == (0,)


def test_described_shapes_are_the_real_ones():
    facts = describe(ModelConfig(), SolveConfig(), image_shape=(28, 28, 1), classes=10)
    assert facts["shapes"] == {
        "image": [28, 28, 1],
        "downsampled": [6, 6, 64],
        "features": [6, 6, 64],
        "logits": [10],
    }
    built = create_model(
        ModelConfig(), SolveConfig(), image_shape=(28, 28, 1), classes=10, rngs=nnx.Rngs(0)
    )
    assert sum(np.prod(s) for s in facts["parameter_shapes"].values()) == parameter_count(built)
    assert facts["parameters"] == parameter_count(built)


def test_blocks_of_a_chain_have_parameters_of_their_own():
    first, second = (np.asarray(b.field.conv1.kernel[...]) for b in _build(blocks=2).blocks)
    assert np.abs(first - second).max() > 1e-3


def test_the_seed_decides_the_parameters():
    make = [
        create_model(
            ModelConfig(width=8),
            SolveConfig(),
            image_shape=(12, 12, 1),
            classes=4,
            rngs=nnx.Rngs(s),
        )
        for s in (0, 0, 1)
    ]
    kernels = [np.asarray(m.head.linear.kernel[...]) for m in make]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).max() > 0


def test_logits_of_an_image_do_not_depend_on_its_batch_with_fixed_steps(x64):
    model = _build(dtype=jnp.float64, solver="rk4", step_size=0.25)
    x = jax.random.normal(jax.random.key(1), (4, 12, 12, 1), "float64")
    logits = jax.jit(lambda x: model(x)[0])
    np.testing.assert_allclose(logits(x)[:1], logits(x[:1]), atol=1e-12)


def _loss(graph, x):
    def loss(params):
        logits, stats = nnx.merge(graph, params)(x)
        return jnp.sum(jax.nn.log_softmax(logits)[:, 1]), stats

    return loss


@pytest.mark.parametrize(
    ("solve", "bound"),
    [
        ({"solver": "rk4", "step_size": 0.1, "gradient": "tape"}, 1e-7),
        ({"solver": "midpoint", "step_size": 0.1, "gradient": "direct"}, 1e-7),
        ({"solver": "midpoint", "step_size": 0.1, "gradient": "checkpointed"}, 1e-7),
        # The adjoint ODE is discretised anew, and the kinks of the ReLU keep its error from falling
        # faster.
        ({"solver": "rk4", "step_size": 0.01, "gradient": "backsolve"}, 2e-3),
    ],
    ids=["tape", "direct", "checkpointed", "backsolve"],
)
def test_gradients_match_finite_differences_in_float64(solve, bound, x64):
    model = _build(dtype=jnp.float64, width=4, **solve)
    graph, params = nnx.split(model)
    x = jax.random.normal(jax.random.key(1), (2, 12, 12, 1), "float64")
    loss = jax.jit(_loss(graph, x))
    gradient, stats = jax.jit(jax.grad(_loss(graph, x), has_aux=True))(params)
    stats.check()
    keys = iter(jax.random.split(jax.random.key(2), len(jax.tree.leaves(params))))
    direction = jax.tree.map(
        lambda leaf: jax.random.normal(next(keys), leaf.shape, leaf.dtype), params
    )
    step = 1e-7  # smaller than the distance to the next kink of a ReLU
    ends = [
        loss(jax.tree.map(lambda p, d, s=sign: p + s * step * d, params, direction))[0]
        for sign in (1, -1)
    ]
    difference = (ends[0] - ends[1]) / (2 * step)
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, direction)))
    np.testing.assert_allclose(slope, difference, rtol=bound)


def test_an_implicit_solver_trains_the_model():
    model = _build(width=4, solver="kvaerno3", rtol=1e-2, atol=1e-2)
    graph, params = nnx.split(model)
    gradient, stats = jax.jit(jax.grad(_loss(graph, jnp.ones((2, 12, 12, 1))), has_aux=True))(
        params
    )
    stats.check()
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient))
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient)) > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"shape": (5, 28, 1)}, "at least 6 pixels"), ({"classes": 0}, "classes must be")],
)
def test_impossible_models_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        _build(**changes)
