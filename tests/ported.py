"""Models from outside the package, in PyTorch and in Flax, with what a port gets wrong.

Each function takes what is to be wrong in the nnx module, or nothing, and returns the PyTorch
module, the nnx module and inputs.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from torch.nn import functional as F

from jaxode import SolveConfig
from jaxode.nn import ODEBlock

DRAWS = np.random.default_rng(0)


def mlp(wrong=None):
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8), torch.nn.Tanh(),
        torch.nn.Linear(8, 3),
    )  # fmt: skip
    r = nnx.Rngs(0)
    second = nnx.sigmoid if wrong == "activation" else nnx.tanh
    ours = nnx.Sequential(
        nnx.Linear(4, 8, rngs=r), nnx.tanh, nnx.Linear(8, 8, rngs=r), second,
        nnx.Linear(8, 3, rngs=r),
    )  # fmt: skip
    return theirs, ours, DRAWS.standard_normal((5, 4))


class TorchCNN(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(8)
        self.conv2 = torch.nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.gn = torch.nn.GroupNorm(4, 8)
        self.drop = torch.nn.Dropout(0.5)
        self.fc = torch.nn.Linear(8 * 3 * 2, 5)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.gn(self.conv2(x)))
        return self.fc(self.drop(x.flatten(1)))


class FlaxCNN(nnx.Module):
    def __init__(self, wrong):
        r = nnx.Rngs(0)
        pad = "SAME" if wrong == "padding" else ((1, 1), (1, 1))
        size = "VALID" if wrong == "size" else ((1, 1), (1, 1))
        self.conv1 = nnx.Conv(3, 8, (3, 3), padding=size, use_bias=False, rngs=r)
        momentum = 0.99 if wrong == "momentum" else 0.9
        self.bn1 = nnx.BatchNorm(8, momentum=momentum, rngs=r)
        self.conv2 = nnx.Conv(8, 8, (3, 3), (2, 2), padding=pad, rngs=r)
        self.gn = nnx.GroupNorm(8, 4, epsilon=1e-3 if wrong == "eps" else 1e-5, rngs=r)
        self.drop = nnx.Dropout(0.5, rngs=r)
        self.fc = nnx.Linear(8 * 3 * 2, 5, rngs=r)

    def __call__(self, x):
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.relu(self.gn(self.conv2(x)))
        return self.fc(self.drop(x.reshape(x.shape[0], -1)))


def cnn(wrong=None):
    theirs = TorchCNN()
    with torch.no_grad():
        theirs.bn1.running_mean.uniform_(-1, 1)
        theirs.bn1.running_var.uniform_(1, 2)
        theirs.bn1.weight.uniform_(1, 2)
    return theirs, FlaxCNN(wrong), DRAWS.standard_normal((4, 3, 6, 4))


class TorchBlock(torch.nn.Module):
    def __init__(self, width=8, heads=2):
        super().__init__()
        self.embed = torch.nn.Embedding(7, width)
        self.position = torch.nn.Parameter(torch.randn(1, 5, width))
        self.norm1 = torch.nn.LayerNorm(width)
        self.attention = torch.nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = torch.nn.LayerNorm(width)
        self.up = torch.nn.Linear(width, 2 * width)
        self.down = torch.nn.Linear(2 * width, width)

    def forward(self, tokens):
        x = self.embed(tokens) + self.position
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class FlaxBlock(nnx.Module):
    def __init__(self, wrong, width=8, heads=2):
        r = nnx.Rngs(0)
        self.embed = nnx.Embed(7, width, rngs=r)
        self.position = nnx.Param(jnp.zeros((1, 5, width)))
        # torch.nn.LayerNorm has eps 1e-5, nnx.LayerNorm 1e-6.
        self.norm1 = nnx.LayerNorm(width, epsilon=1e-5, rngs=r)
        self.attention = nnx.MultiHeadAttention(heads, width, decode=False, rngs=r)
        self.norm2 = nnx.LayerNorm(width, epsilon=1e-6 if wrong == "eps" else 1e-5, rngs=r)
        self.up = nnx.Linear(width, 2 * width, rngs=r)
        self.down = nnx.Linear(2 * width, width, rngs=r)
        self.approximate = wrong == "gelu"
        self.heads_scaled = wrong != "scale"

    def __call__(self, tokens):
        x = self.embed(tokens) + self.position[...]
        y = self.norm1(x)
        x = x + self.attention(y if self.heads_scaled else 2 * y)
        return x + self.down(nnx.gelu(self.up(self.norm2(x)), approximate=self.approximate))


def transformer(wrong=None):
    theirs = TorchBlock()
    with torch.no_grad():  # which PyTorch makes zero
        theirs.attention.in_proj_bias.uniform_(-1, 1)
        theirs.attention.out_proj.bias.uniform_(-1, 1)
    return theirs, FlaxBlock(wrong), DRAWS.integers(0, 7, (3, 5))


class FlaxGRU(nnx.Module):
    """A GRU as PyTorch's: Flax's own cell has no bias for h in the candidate."""

    def __init__(self, inputs, hidden, swapped):
        r = nnx.Rngs(0)
        self.of_x = nnx.Linear(inputs, 3 * hidden, rngs=r)
        self.of_h = nnx.Linear(hidden, 3 * hidden, rngs=r)
        self.hidden, self.swapped = hidden, swapped

    def __call__(self, x):
        h = jnp.zeros((x.shape[0], self.hidden), x.dtype)
        states = []
        for t in range(x.shape[1]):
            a, b = jnp.split(self.of_x(x[:, t]), 3, -1), jnp.split(self.of_h(h), 3, -1)
            r, z = nnx.sigmoid(a[0] + b[0]), nnx.sigmoid(a[1] + b[1])
            r, z = (z, r) if self.swapped else (r, z)
            h = (1 - z) * jnp.tanh(a[2] + r * b[2]) + z * h
            states.append(h)
        return jnp.stack(states, 1)


class TorchSequence(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = torch.nn.GRU(4, 6, batch_first=True)
        self.head = torch.nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.gru(x)[0])


class FlaxSequence(nnx.Module):
    def __init__(self, wrong):
        self.gru = FlaxGRU(4, 6, wrong == "gates")
        self.head = nnx.Linear(6, 2, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.head(self.gru(x))


def gru(wrong=None):
    return TorchSequence(), FlaxSequence(wrong), DRAWS.standard_normal((3, 4, 4))


class TorchField(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
        )

    def forward(self, t, y):
        return self.net(y**3)


class FlaxField(nnx.Module):
    def __init__(self, wrong):
        r = nnx.Rngs(0)
        middle = (lambda x: jnp.tanh(1.01 * x)) if wrong == "field" else nnx.tanh
        self.net = nnx.Sequential(nnx.Linear(2, 8, rngs=r), middle, nnx.Linear(8, 2, rngs=r))

    def __call__(self, t, y):
        return self.net(y**3)


class TorchSpiral(torch.nn.Module):
    def __init__(self, solve, **options):
        super().__init__()
        self.func = TorchField()
        self.solve, self.options = solve, options

    def forward(self, y):
        times = torch.tensor([0.0, 1.0], dtype=y.dtype)
        return self.solve(self.func, y, times, **self.options)[-1]


class FlaxSpiral(nnx.Module):
    def __init__(self, solve, wrong):
        self.block = ODEBlock(FlaxField(wrong), solve)

    def __call__(self, y):
        return self.block(y)[0]


def spiral(wrong=None, adaptive=False, adjoint=False):
    import torchdiffeq

    solve = torchdiffeq.odeint_adjoint if adjoint else torchdiffeq.odeint
    gradient = "backsolve" if adjoint else None
    inputs = np.array([[2.0, 0.0], [1.0, -1.0], [0.5, 1.5]])
    if adaptive:
        rtol = 1e-4 if wrong == "tolerance" else 1e-5
        config = SolveConfig(
            "dopri5", rtol=rtol, atol=1e-6, stepping="torchdiffeq", gradient=gradient
        )
        theirs = TorchSpiral(solve, method="dopri5", rtol=1e-5, atol=1e-6)
    else:
        config = SolveConfig("rk4", step_size=0.1, stepping="torchdiffeq", gradient=gradient)
        theirs = TorchSpiral(solve, method="rk4", options={"step_size": 0.1})
    return theirs, FlaxSpiral(config, wrong), inputs
