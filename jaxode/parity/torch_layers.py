"""A PyTorch module as layers: which of its tensors belong together, and in what role.

Imports no torch: a layer's kind is read off the names of its classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jaxode.parity.links import Source

KINDS = {
    "MultiheadAttention": "attention",
    "RNNBase": "recurrent",
    "RNNCellBase": "recurrent",
    "_ConvTransposeNd": "conv_transpose",
    "_ConvNd": "conv",
    "Linear": "linear",
    "Embedding": "embedding",
    "_NormBase": "norm",
    "GroupNorm": "norm",
    "LayerNorm": "norm",
    "RMSNorm": "norm",
}
"""By a class among a module's bases that PyTorch defines."""

RENAMED = {"running_mean": "mean", "running_var": "variance"}
"""PyTorch's names of a layer's tensors, where Flax's are others."""


Roles = dict[str, tuple[str, tuple[int, int] | None]]
"""A tensor's own name and rows, by its role."""

CELL = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
"""Tensors of one layer and direction of a recurrent module."""


@dataclass(frozen=True, eq=False)
class TorchLayer:
    """Tensors that belong together.

    Args:
      name: dotted; of a recurrent module's cell with its suffix.
      module: dotted name of the module that is called.
      kind: one of KINDS, or "other".
      sources: the tensors by their roles: weight, bias, mean, variance, or their own names.
      shapes: by the same roles.
      parts: the same tensors as several layers, as a module of your own may have them; each item
        is one such division.
    """

    name: str
    module: str
    kind: str
    sources: dict[str, Source]
    shapes: dict[str, tuple[int, ...]]
    parts: tuple[tuple[TorchLayer, ...], ...] = ()


def kind_of(module: Any) -> str:
    """One of KINDS, or "other"."""
    for base in type(module).__mro__:
        if base.__module__.startswith("torch.") and base.__name__ in KINDS:
            return KINDS[base.__name__]
    return "other"


def torch_layers(module: Any) -> list[TorchLayer]:
    """The layers that own tensors, in the order in which they were made.

    A tensor that several modules share belongs to the first of them.
    """
    seen: set[int] = set()
    layers: list[TorchLayer] = []
    for name, owner in module.named_modules():
        kind = kind_of(owner)
        parents = (owner, *owner.children()) if kind == "attention" else (owner,)
        tensors = {}
        for parent in parents:
            prefix = "" if parent is owner else "out_proj."
            for own, tensor in _tensors(parent):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    tensors[prefix + own] = tensor
        if tensors:
            layers += _divided(name, kind, owner, tensors)
    return layers


def _tensors(module: Any) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters(recurse=False)
    for name, buffer in module.named_buffers(recurse=False):
        if buffer.is_floating_point():
            yield name, buffer


def _divided(name: str, kind: str, owner: Any, tensors: dict[str, Any]) -> list[TorchLayer]:
    if kind == "attention":
        return [_attention(name, owner, tensors)]
    if kind == "recurrent":
        return _cells(name, tensors)
    roles = {RENAMED.get(own, own): own for own in tensors}
    return [_layer(name, name, kind, {r: (own, None) for r, own in roles.items()}, tensors)]


def _layer(
    name: str,
    module: str,
    kind: str,
    roles: Roles,
    tensors: dict[str, Any],
    parts: tuple[tuple[TorchLayer, ...], ...] = (),
) -> TorchLayer:
    sources, shapes = {}, {}
    for role, (own, rows) in roles.items():
        shape = tuple(tensors[own].shape)
        sources[role] = Source(dotted(module, own), rows)
        shapes[role] = shape if rows is None else (rows[1] - rows[0], *shape[1:])
    return TorchLayer(name, module, kind, sources, shapes, parts)


def _attention(name: str, owner: Any, tensors: dict[str, Any]) -> TorchLayer:
    """Query, key, value and output; as parts these, or input and output projections."""
    size = owner.embed_dim
    fused = "in_proj_weight" in tensors
    roles: Roles = {}
    for number, title in enumerate(("query", "key", "value")):
        rows, own = (number * size, (number + 1) * size), f"{title[0]}_proj_weight"
        if fused:
            roles[f"{title}.weight"] = ("in_proj_weight", rows)
        elif own in tensors:
            roles[f"{title}.weight"] = (own, None)
        if "in_proj_bias" in tensors:
            roles[f"{title}.bias"] = ("in_proj_bias", rows)
    for own in ("out_proj.weight", "out_proj.bias"):
        if own in tensors:
            roles[own.replace("out_proj", "out")] = (own, None)
    roles |= {own: (own, None) for own in ("bias_k", "bias_v") if own in tensors}

    def part(title: str, chosen: Roles) -> TorchLayer:
        return _layer(dotted(name, title), name, "linear", chosen, tensors)

    def of(prefix: str) -> Roles:
        return {r.split(".")[1]: at for r, at in roles.items() if r.startswith(prefix + ".")}

    divisions = [tuple(part(title, of(title)) for title in ("query", "key", "value", "out"))]
    if fused:
        both: Roles = {"weight": ("in_proj_weight", None)}
        if "in_proj_bias" in tensors:
            both["bias"] = ("in_proj_bias", None)
        divisions.insert(0, (part("in_proj", both), part("out_proj", of("out"))))
    return _layer(name, name, "attention", roles, tensors, tuple(divisions))


def _cells(name: str, tensors: dict[str, Any]) -> list[TorchLayer]:
    """A cell for each layer and direction of a recurrent module, in PyTorch's order."""
    suffixes = [own.removeprefix("weight_ih") for own in tensors if own.startswith("weight_ih")]
    cells = []
    for suffix in suffixes:
        roles: Roles = {
            own.removesuffix(suffix): (own, None)
            for own in tensors
            if own.endswith(suffix) and own.removesuffix(suffix) in CELL
        }
        title = dotted(name, suffix.lstrip("_")) if suffix else name
        parts = tuple(
            _layer(
                dotted(title, side),
                name,
                "linear",
                {r.split("_")[0]: at for r, at in roles.items() if r.endswith(side)},
                tensors,
            )
            for side in ("ih", "hh")
        )
        cells.append(_layer(title, name, "recurrent", roles, tensors, (parts,)))
    return cells


def dotted(*parts: str) -> str:
    """Names joined by dots, without the empty ones."""
    return ".".join(part for part in parts if part)
