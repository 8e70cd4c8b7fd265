"""Which variables of an nnx layer are which tensors of a PyTorch layer."""

from __future__ import annotations

import numpy as np

from jaxode.parity.arrangements import channels_last_columns, weight_arrangement
from jaxode.parity.links import Link, Rearrange, Source
from jaxode.parity.nnx_layers import NnxLayer
from jaxode.parity.torch_layers import TorchLayer

Shape = tuple[int, ...]

GATES = {"LSTMCell": 4, "OptimizedLSTMCell": 4, "GRUCell": 3, "SimpleCell": 1}
"""Gates of Flax's cells; PyTorch has as many rows of hidden units in each tensor.

Both frameworks order them i, f, g, o and r, z, n.
"""

LETTERS = ("i", "f", "g", "o")

NO_BIAS = (
    "nnx.GRUCell has no bias of h in the candidate, which PyTorch multiplies by the reset gate: a"
    " GRU that has one needs a cell of your own"
)
"""What follows from PyTorch's GRU with biases beside Flax's cell."""


def links_between(
    theirs: TorchLayer, ours: NnxLayer, flattened: Shape | None = None, partial: bool = False
) -> list[Link] | None:
    """How an nnx layer's variables are made of a PyTorch layer's tensors.

    Args:
      theirs: the PyTorch layer.
      ours: the nnx layer.
      flattened: (C, *pixels) where a linear layer reads a flattened map whose channels the nnx
        module has last.
      partial: whether tensors and variables without a counterpart are left over; their shapes must
        still agree where they have one.

    Returns:
      The links, or None if these layers are not the same.
    """
    if theirs.kind == "recurrent" and ours.kind in GATES:
        return _cell(theirs, ours)
    if ours.kind in GATES or (theirs.kind == "attention") != (ours.kind == "MultiHeadAttention"):
        return None
    roles = [role for role in theirs.sources if role in ours.names]
    complete = len(roles) == len(theirs.sources) == len(ours.names)
    if not roles or not (complete or partial):
        return _renamed(theirs, ours)
    links = []
    for role in roles:
        link = tensor_link(theirs, role, ours, role, flattened)
        if link is None:
            return None
        links.append(link)
    return links


def tensor_link(
    theirs: TorchLayer, role: str, ours: NnxLayer, own: str, flattened: Shape | None = None
) -> Link | None:
    """The link of one tensor and one variable, or None if no rearrangement fits their shapes."""
    name = ours.names[own].rsplit(".", 1)[-1]
    flipped = not getattr(ours.module, "transpose_kernel", False)
    # Of attention, the weights are those of linear layers.
    kind = "linear" if theirs.kind == "attention" and role.endswith("weight") else theirs.kind
    found = weight_arrangement(kind, name, theirs.shapes[role], ours.shapes[own], flipped)
    if found is None and role.endswith("bias"):
        found = _heads(theirs.shapes[role], ours.shapes[own])
    if found is None:
        return None
    rearrange, layout = found
    if flattened is not None and role == "weight":
        rearrange = _after(channels_last_columns(flattened), rearrange)
        layout += ", columns of [C, H, W] in the order [H, W, C]"
    return Link(ours.names[own], (theirs.sources[role],), rearrange, layout)


def _after(first: Rearrange, then: Rearrange) -> Rearrange:
    return lambda array: then(first(array))


def _heads(given: Shape, wanted: Shape) -> tuple[Rearrange, str] | None:
    """A bias [H·D] as [H, D]."""
    if len(given) == 1 and len(wanted) == 2 and given[0] == wanted[0] * wanted[1]:
        return (lambda array: array.reshape(wanted)), "[heads, features]"
    return None


def _renamed(theirs: TorchLayer, ours: NnxLayer) -> list[Link] | None:
    """Links by order, of layers with as many tensors as variables under other names."""
    if len(theirs.sources) != len(ours.names):
        return None
    left = list(ours.names)
    links = []
    for role in theirs.sources:
        tried = [role] if role in left else left
        own, link = next(
            ((own, found) for own in tried if (found := tensor_link(theirs, role, ours, own))),
            ("", None),
        )
        if link is None:
            return None
        left.remove(own)
        links.append(link)
    return links


def _cell(theirs: TorchLayer, ours: NnxLayer) -> list[Link] | None:
    """A recurrent cell: gates side by side, and Flax's one bias in place of PyTorch's two."""
    if "weight_hr" in theirs.sources:
        return None
    rows, inputs = theirs.shapes["weight_ih"]
    gates = GATES[ours.kind]
    size = rows // gates
    if rows % gates or theirs.shapes["weight_hh"] != (rows, size):
        return None
    made = _gates(theirs, size) if ours.kind == "LSTMCell" else _fused(theirs, ours.kind, size)
    wanted = {"weight_ih": (inputs, size), "weight_hh": (size, size), "bias_ih": (size,)}
    for own, sources in made.items():
        base = sources[0]
        role = next(r for r, s in theirs.sources.items() if s.name == base.name)
        shape = wanted.get(role, (size,))
        if ours.kind != "LSTMCell":
            shape = (*shape[:-1], shape[-1] * gates)
        if ours.shapes.get(own) != shape:
            return None
    if set(ours.names) - set(made) and "bias_ih" in theirs.sources:
        return None
    return [
        Link(ours.names[own], sources, _turned if own.endswith("weight") else _same, _words(own))
        for own, sources in made.items()
    ]


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _turned(array: np.ndarray) -> np.ndarray:
    return array.T


def _words(role: str) -> str:
    return "gates, [out, in] to [in, out]" if role.endswith("weight") else "sum of two biases"


def _fused(theirs: TorchLayer, kind: str, size: int) -> dict[str, tuple[Source, ...]]:
    """Variables of a cell with two linear layers, `dense_i` and `dense_h`."""
    made: dict[str, tuple[Source, ...]] = {
        "dense_i.weight": (theirs.sources["weight_ih"],),
        "dense_h.weight": (theirs.sources["weight_hh"],),
    }
    if "bias_ih" in theirs.sources:
        name = theirs.sources["bias_hh"].name
        if kind == "GRUCell":
            # Flax has no place for the bias of h in the candidate n, which PyTorch scales by r.
            made["dense_i.bias"] = (theirs.sources["bias_ih"], Source(name, (0, 2 * size)))
        else:
            owner = "dense_h" if kind == "OptimizedLSTMCell" else "dense_i"
            made[f"{owner}.bias"] = (theirs.sources["bias_ih"], Source(name))
    return made


def _gates(theirs: TorchLayer, size: int) -> dict[str, tuple[Source, ...]]:
    """Variables of a cell with a linear layer for each gate, of the input and of h."""
    made: dict[str, tuple[Source, ...]] = {}
    for number, letter in enumerate(LETTERS):
        rows = (number * size, (number + 1) * size)
        own = "if_" if letter == "f" else f"i{letter}"
        made[f"{own}.weight"] = (Source(theirs.sources["weight_ih"].name, rows),)
        made[f"h{letter}.weight"] = (Source(theirs.sources["weight_hh"].name, rows),)
        if "bias_ih" in theirs.sources:
            made[f"h{letter}.bias"] = tuple(
                Source(theirs.sources[bias].name, rows) for bias in ("bias_ih", "bias_hh")
            )
    return made
