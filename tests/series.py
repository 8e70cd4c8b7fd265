"""The same models of series in both frameworks: equal weights and records."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import torch
from flax import nnx

from jaxode import SolveConfig
from jaxode.models import GRUD, ODERNN, LatentODE, NeuralCDE, ODERNNEncoder, RNNDelta, RNNEncoder
from jaxode.nn import Dense, DenseField, Series
from torch_ref import cde, irregular_latent_ode, latent_ode, ode_rnn
from torch_ref.solve import Settings


def made(build):
    """A model of ours, drawn by one program; `build` is given where its numbers come from."""
    return nnx.jit(lambda: build({"rngs": nnx.Rngs(0), "dtype": jnp.float64}))()


def linears(ours, theirs):
    """Pairs of parameters of one linear layer or of a net of them; True where one is transposed."""
    if hasattr(ours, "layers"):
        layers = [layer for layer in theirs if isinstance(layer, torch.nn.Linear)]
        return [pair for both in zip(ours.layers, layers, strict=True) for pair in linears(*both)]
    return [(ours.kernel, theirs.weight, True), (ours.bias, theirs.bias, False)]


def gru(ours, theirs):
    return [
        (ours.input_kernel, theirs.weight_ih, True),
        (ours.input_bias, theirs.bias_ih, False),
        (ours.hidden_kernel, theirs.weight_hh, True),
        (ours.hidden_bias, theirs.bias_hh, False),
    ]


def unit(ours, theirs):
    names = (("update_gate",) * 2, ("reset_gate",) * 2, ("new_state", "new_state_net"))
    return [
        pair for one, other in names for pair in linears(getattr(ours, one), getattr(theirs, other))
    ]


def copied(pairs):
    """Give the nnx parameters torch's numbers."""
    for ours, theirs, turned in pairs:
        array = theirs.detach().numpy()
        ours[...] = jax.device_put(array.T if turned else array)
    return pairs


def as_ours(array, turned):
    array = array.detach().numpy()
    return array.T if turned else array


def recurrent(kind, means, settings=None, solve=None):
    """A model of 3 channels, 4 hidden numbers and 2 outputs in both, and pairs of parameters."""
    torch.manual_seed(0)
    more = {} if settings is None else {"settings": settings}
    own = {} if solve is None else {"solve": solve}
    if kind == "ode-rnn":
        theirs = ode_rnn.ODERNN(3, 4, 2, units=5, **more).double()
        ours = made(lambda given: ODERNN(3, 4, 2, units=5, **own, **given))
        pairs = linears(ours.between.field.net, theirs.field.net) + gru(ours.cell, theirs.cell)
    elif kind == "rnn-delta":
        theirs = ode_rnn.RNNDelta(3, 4, 2).double()
        ours = made(lambda given: RNNDelta(3, 4, 2, **given))
        pairs = gru(ours.cell, theirs.cell)
    elif kind == "gru-d":
        theirs = ode_rnn.GRUD(3, 4, 2, torch.tensor(means)).double()
        torch.nn.init.uniform_(theirs.input_decay_bias, -0.5, 0.5)
        ours = made(lambda given: GRUD(jnp.asarray(means), 4, 2, **given))
        cell = ours.cell
        pairs = [
            (cell.input_decay_kernel, theirs.input_decay_weight, False),
            (cell.input_decay_bias, theirs.input_decay_bias, False),
        ]
        for name in ("state_decay", "update", "reset", "candidate"):
            pairs += linears(getattr(cell, name), [getattr(theirs, name)])
    else:
        theirs = cde.NeuralCDE(3, 4, 2, width=5, layers=2, **more).double()
        ours = made(lambda given: NeuralCDE(3, 4, 2, units=5, layers=2, **own, **given))
        field = [theirs.field.linear_in, *theirs.field.linears, theirs.field.linear_out]
        pairs = linears(ours.initial, theirs.initial) + linears(ours.field.net, field)
    return ours, theirs, copied(pairs + linears(ours.readout, theirs.readout))


def spiral_pair(gradient):
    """The latent ODE of torchdiffeq's examples/latent_ode.py in both."""
    torch.manual_seed(0)
    settings = Settings(rtol=1e-7, atol=1e-9, adjoint=gradient == "backsolve")
    theirs = latent_ode.LatentODE(settings=settings).double()
    solve = SolveConfig(rtol=1e-7, atol=1e-9, gradient=gradient, stepping="torchdiffeq")
    ours = made(
        lambda given: LatentODE(
            RNNEncoder(2, 4, **given),
            DenseField(4, 20, 2, "elu", **given),
            Dense((4, 20, 2), "relu", **given),
            solve,
        )
    )
    field = [theirs.func.fc1, theirs.func.fc2, theirs.func.fc3]
    pairs = linears(ours.encoder.cell, theirs.rec.i2h)
    pairs += linears(ours.encoder.readout, theirs.rec.h2o)
    pairs += linears(ours.block.field.net, field)
    pairs += linears(ours.decoder, [theirs.dec.fc1, theirs.dec.fc2])
    return ours, theirs, copied(pairs)


def irregular_pair(gradient):
    """The latent ODE of Rubanova et al. with a small ODE-RNN in both."""
    torch.manual_seed(0)
    settings = Settings(rtol=1e-6, atol=1e-6, adjoint=gradient == "backsolve")
    sizes = {"units": 5, "gate_units": 6}
    theirs = irregular_latent_ode.IrregularLatentODE(
        3, 2, 4, **sizes, encoder_layers=1, layers=1, classifier_units=7, settings=settings
    ).double()
    solve = SolveConfig(
        rtol=1e-6, atol=1e-6, gradient=gradient, stepping="torchdiffeq", per_sample=True
    )
    ours = made(
        lambda given: LatentODE(
            ODERNNEncoder(3, 2, 4, **sizes, **given),
            DenseField(2, 5, **given),
            Dense((2, 3), **given),
            solve,
            classifier=Dense((2, 7, 7, 1), "relu", **given),
        )
    )
    encoder = theirs.encoder
    pairs = linears(ours.encoder.field.net, encoder.field.net)
    pairs += unit(ours.encoder.unit, encoder.unit)
    pairs += linears(ours.encoder.readout, encoder.transform)
    pairs += linears(ours.block.field.net, theirs.field.net)
    pairs += linears(ours.decoder, [theirs.decoder])
    pairs += linears(ours.classifier, theirs.classifier)
    return ours, theirs, copied(pairs)


def as_series(records):
    """torch's records as a `Series`, without what must not be read."""
    inside = torch.arange(records.times.shape[1]) < records.lengths[:, None]
    last = records.times.gather(1, records.lengths[:, None] - 1)
    times = torch.where(inside, records.times, last)
    mask = torch.where(inside[..., None], records.mask, 0.0)
    values = torch.where(mask > 0, records.values, 0.0)
    return Series(
        *(jax.device_put(part.numpy()) for part in (times, values, mask, records.lengths))
    )
