"""Small padded records for the references of time series, and a check of their gradients."""

from __future__ import annotations

import torch
from torch.func import functional_call

from torch_ref.records import Records


def records(seed=0, lengths=(4, 2, 5), inputs=3):
    """Records of these lengths, padded to the longest, with times of their own from 0 to 1.

    About half of the values are observed, in the first row all. Of the last record, the third row
    has no observation.
    """
    draw = torch.Generator().manual_seed(seed)
    size = (len(lengths), max(lengths))
    times = torch.rand(size, generator=draw, dtype=torch.float64).cumsum(1) / size[1]
    values = torch.randn(*size, inputs, generator=draw, dtype=torch.float64)
    mask = (torch.rand(*size, inputs, generator=draw) < 0.5).double()
    mask[:, 0], mask[-1, 2] = 1, 0
    return Records(times, values, mask, torch.tensor(lengths))


def spoilt(given):
    """The same records with NaN for every value and time that must not be read."""
    behind = torch.arange(given.times.shape[1]) >= given.lengths[:, None]
    unseen = behind[..., None] | (given.mask == 0)
    return given._replace(
        times=given.times.masked_fill(behind, torch.nan),
        values=given.values.masked_fill(unseen, torch.nan),
        mask=given.mask.masked_fill(behind[..., None], torch.nan),
    )


def alone(given, i):
    """The i-th record by itself, without padding."""
    n = int(given.lengths[i])
    return Records(*(part[i : i + 1, :n] for part in given[:3]), given.lengths[i : i + 1])


def check_gradients(model, loss):
    """Gradients of `loss(call)` in all parameters, by central differences in a random direction.

    The gradient by the adjoint cannot be checked so: its solve comes when the parameters have been
    put back.

    Args:
      model: in float64.
      loss: takes a function that calls a method of the model, of its name and arguments.
    """
    named = dict(model.named_parameters())

    class Method(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, name, *args, **options):
            return getattr(self.model, name)(*args, **options)

    def of(flat):
        parts = flat.split([value.numel() for value in named.values()])
        given = {
            f"model.{name}": part.view_as(value)
            for (name, value), part in zip(named.items(), parts, strict=True)
        }
        return loss(lambda *args, **options: functional_call(Method(), given, args, options))

    flat = torch.cat([value.detach().flatten() for value in named.values()]).requires_grad_()
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(of, flat, fast_mode=True, rtol=1e-6, atol=1e-7)


def gradient(model, loss):
    """The gradient of a loss in all parameters, as one vector."""
    model.zero_grad()
    loss.backward()
    return torch.cat([value.grad.flatten() for value in model.parameters()])
