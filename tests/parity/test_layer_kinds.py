"""Weights of every kind of layer come over: outputs and gradients are then equal."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="jaxode.parity compares with PyTorch")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from flax import nnx  # noqa: E402
from torch import nn  # noqa: E402

from jaxode import parity  # noqa: E402

DRAWS = np.random.default_rng(0)
MAP = DRAWS.standard_normal((2, 3, 6, 6))
SEQUENCE = DRAWS.standard_normal((2, 5, 4))
QUERY, KEY = DRAWS.standard_normal((2, 5, 8)), DRAWS.standard_normal((2, 3, 6))
ONE = ((1, 1),)
R = nnx.Rngs(0)


class First(nn.Module):
    """What a recurrent module returns for every time."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]


class Attention(nn.Module):
    def __init__(self, batch_first=True, **options):
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=batch_first, **options)
        nn.init.uniform_(self.inner.in_proj_bias)

    def forward(self, query, key=None):
        key = query if key is None else key
        return self.inner(query, key, key)[0]


class FlaxAttention(nnx.Module):
    def __init__(self, **options):
        self.inner = nnx.MultiHeadAttention(2, 8, decode=False, rngs=R, **options)

    def __call__(self, query, key=None):
        return self.inner(query, key)


class OwnAttention(nnx.Module):
    """Attention as users write it: one projection, or three."""

    def __init__(self, fused):
        self.fused = fused
        if fused:
            self.qkv = nnx.Linear(8, 24, rngs=R)
        else:
            self.q, self.k, self.v = (nnx.Linear(8, 8, rngs=R) for _ in range(3))
        self.proj = nnx.Linear(8, 8, rngs=R)

    def __call__(self, x):
        parts = jnp.split(self.qkv(x), 3, -1) if self.fused else (self.q(x), self.k(x), self.v(x))
        q, k, v = (part.reshape(*x.shape[:2], 2, 4) for part in parts)
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2)
        return self.proj(jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape))


class Stacked(nnx.Module):
    """Two layers, whose names sort the other way round."""

    def __init__(self):
        self.lower = nnx.RNN(nnx.LSTMCell(4, 6, rngs=R))
        self.above = nnx.RNN(nnx.LSTMCell(6, 6, rngs=R))

    def __call__(self, x):
        return self.above(self.lower(x))


def both_ways():
    return nnx.Bidirectional(*(nnx.RNN(nnx.LSTMCell(4, 6, rngs=R)) for _ in range(2)))


def lstm(**options):
    return First(nn.LSTM(4, 6, **options))


FIRST = {"batch_first": True}
UP = {"padding": ((2, 2), (2, 2)), "rngs": R}
CASES = {
    "conv 1d": lambda: (nn.Conv1d(4, 3, 3, padding=1), nnx.Conv(4, 3, 3, padding=ONE, rngs=R)),
    "conv, groups": lambda: (
        nn.Conv2d(3, 6, 3, groups=3),
        nnx.Conv(3, 6, (3, 3), feature_group_count=3, padding="VALID", rngs=R),
    ),
    "conv transpose": lambda: (
        nn.ConvTranspose2d(3, 4, 4, 2, 1),
        nnx.ConvTranspose(3, 4, (4, 4), (2, 2), **UP),
    ),
    "conv transpose, transposed kernel": lambda: (
        nn.ConvTranspose2d(3, 4, 4, 2, 1),
        nnx.ConvTranspose(3, 4, (4, 4), (2, 2), transpose_kernel=True, **UP),
    ),
    "instance norm": lambda: (
        nn.InstanceNorm2d(3, affine=True),
        nnx.InstanceNorm(3, epsilon=1e-5, rngs=R),
    ),
    "RMS norm": lambda: (nn.RMSNorm(4, eps=1e-6), nnx.RMSNorm(4, rngs=R)),
    "PReLU": lambda: (nn.PReLU(), nnx.PReLU()),
    "LSTM, time first": lambda: (lstm(), nnx.RNN(nnx.OptimizedLSTMCell(4, 6, rngs=R))),
    "LSTM, both ways": lambda: (lstm(bidirectional=True, **FIRST), both_ways()),
    "LSTM, two layers": lambda: (lstm(num_layers=2, **FIRST), Stacked()),
    "RNN": lambda: (First(nn.RNN(4, 6, **FIRST)), nnx.RNN(nnx.SimpleCell(4, 6, rngs=R))),
    "attention, other keys": lambda: (
        Attention(kdim=6, vdim=6),
        FlaxAttention(in_kv_features=6),
    ),
    "attention, time first": lambda: (Attention(batch_first=False), FlaxAttention()),
    "own attention, one projection": lambda: (Attention(), OwnAttention(True)),
    "own attention, three projections": lambda: (Attention(), OwnAttention(False)),
}
LAYOUTS = {"conv": "channels_last", "instance": "channels_last"}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_comes_over(name):
    torch.manual_seed(0)
    theirs, ours = CASES[name]()
    inputs = {"conv": MAP, "conv 1d": SEQUENCE.transpose(0, 2, 1), "instance norm": MAP,
              "attention, other keys": (QUERY, KEY)}  # fmt: skip
    kind = "conv" if name.startswith("conv") else name
    given = inputs.get(name, inputs.get(kind, QUERY if "attention" in name else SEQUENCE))
    report = parity.check(theirs, ours, given)
    assert report.passed, str(report)
    assert report.largest("gradient") < 1e-12
    time_first = "batch_first" if "time first" in name else "same"
    assert report.layout == LAYOUTS.get(name.split()[0].rstrip(","), time_first)


def test_a_gru_with_flaxs_cell_has_no_place_for_one_bias():
    theirs, ours = First(nn.GRU(4, 6, **FIRST)), nnx.RNN(nnx.GRUCell(4, 6, rngs=R))
    report = parity.check(theirs, ours, SEQUENCE)
    assert report.only_torch == {"inner.bias_hh_l0[12:18]": (6,)}
    assert any("needs a cell of your own" in remark for remark in report.remarks)
    without = First(nn.GRU(4, 6, bias=False, **FIRST))
    report = parity.check(without, ours, SEQUENCE, ignore=["cell.dense_i.bias"])
    assert report.passed, str(report)
    assert not parity.check(without, ours, SEQUENCE).passed


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.read = nn.Linear(4, 5, bias=False)
        self.read.weight = self.embed.weight

    def forward(self, tokens):
        return self.read(torch.tanh(self.embed(tokens)))


class FlaxTied(nnx.Module):
    def __init__(self, tied):
        self.embed = nnx.Embed(5, 4, rngs=R)
        self.read = None if tied else nnx.Linear(4, 5, use_bias=False, rngs=R)

    def __call__(self, tokens):
        x = jnp.tanh(self.embed(tokens))
        return self.embed.attend(x) if self.read is None else self.read(x)


def test_a_tied_weight():
    tokens = DRAWS.integers(0, 5, (2, 3))
    assert parity.check(Tied(), FlaxTied(True), tokens).passed
    report = parity.check(Tied(), FlaxTied(False), tokens)
    assert not report.passed
    assert report.only_nnx == {"read.kernel": (4, 5)}
