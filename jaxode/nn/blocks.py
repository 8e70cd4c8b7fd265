"""The segments of a classifier: downsampling, a feature block, the head."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.config import SolveConfig
from jaxode.nn.downsampling import Segment
from jaxode.nn.fields import ConvField, pre_activation
from jaxode.nn.kernels import Kernels
from jaxode.nn.layers import NORM_EPS, Conv, GroupNorm, Linear
from jaxode.nn.native.chain import Settings
from jaxode.nn.native.layers import fits
from jaxode.ode import Stats, odeint
from jaxode.types import Images, Logits, Maps


class Downsample(nnx.Module):
    """A convolution of stride 1, then convolutions of stride 2.

    Two of them take [B, 28, 28, channels] to [B, 6, 6, width].

    The first three are those of torchdiffeq's example and of Gładzik 2019. More of them, each after
    a norm and a ReLU as the others, make smaller maps of larger images: of 64 x 64 pixels three
    leave 15 x 15, four 7 x 7, five 3 x 3.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        convolutions: int = 3,
        *,
        kernels: Kernels,
        rngs: nnx.Rngs,
        dtype: jnp.dtype,
    ) -> None:
        """Images of `channels` planes to maps of `width` channels, by 3 convolutions or more."""
        self.fused = kernels.downsampling
        self.conv1 = Conv(channels, width, 3, kernels=kernels, rngs=rngs, dtype=dtype)
        self.norm1 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv2 = Conv(
            width, width, 4, stride=2, padding=1, kernels=kernels, rngs=rngs, dtype=dtype
        )
        self.norm2 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv3 = Conv(
            width, width, 4, stride=2, padding=1, kernels=kernels, rngs=rngs, dtype=dtype
        )
        more = range(convolutions - 3)
        self.norms = nnx.List([GroupNorm(width, kernels=kernels, dtype=dtype) for _ in more])
        self.convs = nnx.List(
            [
                Conv(width, width, 4, stride=2, padding=1, kernels=kernels, rngs=rngs, dtype=dtype)
                for _ in more
            ]
        )

    def __call__(self, images: Images) -> Maps:
        """The initial state of the feature segment."""
        out = self._first_three(images)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            out = conv(jax.nn.relu(norm(out)))
        return out

    def _first_three(self, images: Images) -> Maps:
        if self.fused is not None:
            return self.fused(images, self._parameters(), self.norm1.groups, NORM_EPS)
        out = jax.nn.relu(self.norm1(self.conv1(images)))
        out = jax.nn.relu(self.norm2(self.conv2(out)))
        return self.conv3(out)

    def _parameters(self) -> Segment:
        stages = ((self.conv1, self.norm1), (self.conv2, self.norm2))
        pairs = [(conv.kernel, conv.bias, norm.scale, norm.bias) for conv, norm in stages]
        parameters = (*pairs[0], *pairs[1], self.conv3.kernel, self.conv3.bias)
        return Segment(*(each[...] for each in parameters if each is not None))


def augmented(z: Maps, more: int) -> Maps:
    """`more` channels of zeros behind those of z: [B, H, W, C] → [B, H, W, C + more]."""
    return jnp.pad(z, ((0, 0), (0, 0), (0, 0), (0, more))) if more else z


class ODEBlock(nnx.Module):
    """z(1) of dz/dt = f(t, z) with z(0) the block's input (Chen et al. 2018, equation 2)."""

    def __init__(
        self, width: int, solve: SolveConfig, *, kernels: Kernels, rngs: nnx.Rngs, dtype: jnp.dtype
    ) -> None:
        """A block whose field acts on maps of `width` channels."""
        self.field = ConvField(width, kernels=kernels, rngs=rngs, dtype=dtype)
        self.solve = solve

    def __call__(self, z: Maps) -> tuple[Maps, Stats]:
        """State at time 1 and what the solve cost: [B, H, W, C] → [B, H, W, C]."""
        graph, state = nnx.split(self.field)
        # Parameters travel as args, which the adjoint differentiates, and as plain arrays, which
        # every library takes.
        params, tree = jax.tree.flatten(state)
        return odeint(
            lambda t, y, p: nnx.merge(graph, jax.tree.unflatten(tree, p))(t, y),
            z,
            params,
            self.solve,
        )


class ResidualBlock(nnx.Module):
    """z + conv(ReLU(norm(conv(ReLU(norm(z)))))), convolutions without bias.

    Source: He et al. 2016, "Identity Mappings in Deep Residual Networks", full pre-activation.
    """

    def __init__(self, width: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: jnp.dtype) -> None:
        """A block on maps of `width` channels."""
        self.chain = kernels.chain
        self.norm1 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv1 = Conv(
            width, width, 3, padding=1, bias=False, kernels=kernels, rngs=rngs, dtype=dtype
        )
        self.norm2 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv2 = Conv(
            width, width, 3, padding=1, bias=False, kernels=kernels, rngs=rngs, dtype=dtype
        )

    def __call__(self, z: Maps) -> Maps:
        """[B, H, W, C] → [B, H, W, C]."""
        if self.chain is not None and fits(z):
            units = pre_activation(self.norm1, self.conv1), pre_activation(self.norm2, self.conv2)
            return self.chain(
                None, z, units, None, Settings(self.norm1.groups, NORM_EPS, residual=True)
            )
        out = self.conv1(jax.nn.relu(self.norm1(z)))
        return z + self.conv2(jax.nn.relu(self.norm2(out)))


class Head(nnx.Module):
    """norm · ReLU · mean over the pixels · linear: [B, H, W, width] → [B, classes]."""

    def __init__(
        self, width: int, classes: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: jnp.dtype
    ) -> None:
        """Maps of `width` channels to scores of `classes` classes."""
        self.norm = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.linear = Linear(width, classes, rngs=rngs, dtype=dtype)

    def __call__(self, z: Maps) -> Logits:
        """Unnormalised log-probabilities of the classes."""
        return self.linear(jax.nn.relu(self.norm(z)).mean((1, 2)))
