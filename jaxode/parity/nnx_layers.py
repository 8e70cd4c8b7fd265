"""An nnx module as layers: which of its variables belong together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxode.nn import BackwardSolveCost, SolveStats

COMPOSITES = ("MultiHeadAttention", "LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")
"""Flax's layers that are made of linear ones, where PyTorch has one module."""

ROLES = {
    "kernel": "weight",
    "scale": "weight",
    "embedding": "weight",
    "negative_slope": "weight",
    "w": "weight",
    "b": "bias",
    "var": "variance",
    "running_mean": "mean",
    "running_var": "variance",
}
"""Names of variables that have another name in PyTorch, by `jaxode.parity.torch_layers`' names."""

LEFT_OUT = (
    SolveStats,
    BackwardSolveCost,
    nnx.RngState,
    nnx.Cache,
    nnx.Intermediate,
    nnx.Perturbation,
)
"""Variables that are no weights."""

Variables = list[tuple[tuple[Any, ...], Any]]
"""Paths and variables."""


@dataclass(frozen=True, eq=False)
class NnxLayer:
    """Variables that belong together.

    Args:
      path: dotted path of the module that owns them.
      kind: one of COMPOSITES, else "plain".
      module: the module.
      names: the variables' dotted names by their roles, as in `TorchLayer`; of a composite with
        the name of their own layer before them.
      shapes: by the same roles.
      parts: of a composite, its own layers.
    """

    path: str
    kind: str
    module: Any
    names: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    parts: tuple[NnxLayer, ...] = ()


def joined(path: Iterable[Any]) -> str:
    """A path as a dotted name."""
    return ".".join(map(str, path))


def weights_of(module: nnx.Module) -> Variables:
    """Paths and variables of a module's floating-point weights and running statistics."""
    found = []
    for path, variable in nnx.to_flat_state(nnx.state(module)):
        value = variable.get_value() if isinstance(variable, nnx.Variable) else variable
        if isinstance(variable, LEFT_OUT) or not hasattr(value, "dtype"):
            continue
        if jnp.issubdtype(value.dtype, jnp.floating):
            found.append((tuple(path), variable))
    return found


def defined_order(module: nnx.Module) -> list[str]:
    """Paths of all modules in the order in which their attributes were set, the inner ones first.

    Flax's own functions sort them by name, and so do its copies.
    """
    paths = {id(child): joined(path) for path, child in nnx.iter_modules(module)}
    order: list[str] = []
    seen: set[int] = set()

    def walk(value: Any) -> None:
        if id(value) in seen:
            return
        if isinstance(value, nnx.List | list | tuple):
            inside = list(value)
        elif isinstance(value, nnx.Module | nnx.Dict):
            inside = list(vars(value).values())
        else:
            inside = list(value.values()) if isinstance(value, dict) else []
        seen.add(id(value))
        for each in inside:
            walk(each)
        if id(value) in paths:
            order.append(paths[id(value)])

    walk(module)
    return order


def nnx_layers(module: nnx.Module) -> list[NnxLayer]:
    """The layers that own weights, in the order of their paths."""
    modules = {tuple(path): child for path, child in nnx.iter_modules(module)}
    composites = {path: kind for path, child in modules.items() if (kind := _composite(child))}
    owned: dict[tuple[Any, ...], Variables] = {}
    for path, variable in weights_of(module):
        owned.setdefault(_owner(path, modules), []).append((path, variable))
    layers: dict[tuple[Any, ...], NnxLayer] = {}
    for owner, variables in owned.items():
        above = next((path for path in composites if owner[: len(path)] == path), None)
        plain = _plain(owner, modules[owner], variables)
        if above is None:
            layers[owner] = plain
        else:
            layers[above] = _with(layers.get(above), above, composites[above], modules, plain)
    return list(layers.values())


def _owner(path: tuple[Any, ...], modules: dict[tuple[Any, ...], Any]) -> tuple[Any, ...]:
    """The innermost module above a variable that is more than a list or a dictionary."""
    for length in range(len(path) - 1, 0, -1):
        if path[:length] in modules and not isinstance(modules[path[:length]], nnx.List | nnx.Dict):
            return path[:length]
    return ()


def _plain(owner: tuple[Any, ...], module: Any, variables: Variables) -> NnxLayer:
    roles = {}
    for path, variable in variables:
        own = joined(path[len(owner) :])
        roles[ROLES.get(own, own)] = (joined(path), tuple(variable.shape))
    names = {role: name for role, (name, _) in roles.items()}
    return NnxLayer(joined(owner), "plain", module, names, {r: s for r, (_, s) in roles.items()})


def _with(
    composite: NnxLayer | None,
    path: tuple[Any, ...],
    kind: str,
    modules: dict[tuple[Any, ...], Any],
    part: NnxLayer,
) -> NnxLayer:
    """A composite with one layer more."""
    title = part.path[len(joined(path)) :].lstrip(".")
    names = {f"{title}.{role}": name for role, name in part.names.items()}
    shapes = {f"{title}.{role}": shape for role, shape in part.shapes.items()}
    if composite is not None:
        names, shapes = composite.names | names, composite.shapes | shapes
    parts = (*(composite.parts if composite is not None else ()), part)
    return NnxLayer(joined(path), kind, modules[path], names, shapes, parts)


def _composite(module: Any) -> str:
    """One of COMPOSITES, or nothing."""
    for base in type(module).__mro__:
        if base.__module__.startswith("flax.") and base.__name__ in COMPOSITES:
            return base.__name__
    return ""
