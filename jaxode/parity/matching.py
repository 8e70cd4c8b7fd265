"""Which layer is which: by a mapping of the user, by name, then by order and shape."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from jaxode.checks import ConfigError, closest, require
from jaxode.parity.links import Link, Source
from jaxode.parity.names import equal_names
from jaxode.parity.nnx_layers import NnxLayer
from jaxode.parity.rules import links_between, tensor_link
from jaxode.parity.torch_layers import TorchLayer

Shape = tuple[int, ...]
Mapped = str | tuple[str, Callable[[np.ndarray], np.ndarray]]
WeightMapping = Mapping[str, Mapped]
"""PyTorch's name of a module, parameter or buffer → that of the nnx module; of a parameter also
with the rearrangement that takes it there.
"""


class Pair(NamedTuple):
    """Two layers that are the same."""

    theirs: TorchLayer
    ours: NnxLayer
    how: str


@dataclass
class Matching:
    """Which weight is which.

    Args:
      links: one for each variable of the nnx module that has a counterpart.
      pairs: the layers that they belong to.
      only_torch: tensors without a counterpart, and their shapes.
      only_nnx: variables without a counterpart, and their shapes.
    """

    links: list[Link] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    only_torch: dict[str, Shape] = field(default_factory=dict)
    only_nnx: dict[str, Shape] = field(default_factory=dict)


class Matcher:
    """Finds a Matching.

    Args:
      theirs: PyTorch's layers, in the order of their calls.
      ours: the nnx module's layers, in the order of their calls.
      mapping: the user's.
      flattened: by PyTorch's name of a linear layer, the (C, *pixels) that it reads flattened.
    """

    def __init__(
        self,
        theirs: Sequence[TorchLayer],
        ours: Sequence[NnxLayer],
        mapping: WeightMapping,
        flattened: Mapping[str, Shape],
    ) -> None:
        self.theirs, self.ours = list(theirs), list(ours)
        self.mapping, self.flattened = mapping, flattened
        self.found = Matching()
        self.all_theirs, self.all_ours = list(theirs), list(ours)

    def match(self) -> Matching:
        """Match all layers.

        Raises:
          ConfigError: the mapping names what is not there, or layers that do not fit.
        """
        names = [layer.name for layer in self.theirs]
        for name in self.flattened:
            allowed = f"names of layers of the torch module{_hint(name, names)}"
            require(name in names, "flattened", name, allowed)
        self._by_mapping()
        self._by_name()
        self._by_order()
        if self._expand():
            self._by_name()
            self._by_order()
        self._by_name(partial=True)
        self._note_the_rest()
        return self.found

    def _take(self, theirs: TorchLayer, ours: NnxLayer, links: list[Link], how: str) -> None:
        self.theirs.remove(theirs)
        self.ours.remove(ours)
        self.found.links += [dataclasses.replace(link, how=how) for link in links]
        self.found.pairs.append(Pair(theirs, ours, how))

    def _by_mapping(self) -> None:
        for name, mapped in self.mapping.items():
            target, rearrange = mapped if isinstance(mapped, tuple) else (mapped, None)
            theirs = next((layer for layer in self.theirs if layer.name == name), None)
            ours = next((layer for layer in self.ours if layer.path == target), None)
            if theirs is not None and ours is not None and rearrange is None:
                links = links_between(theirs, ours, self.flattened.get(name), partial=True)
                if links is None:
                    raise ConfigError(
                        f"mapping takes {name} to {target}, but their shapes do not fit:"
                        f" {_shapes(theirs.shapes)} against {_shapes(ours.shapes)}"
                    )
                self._take(theirs, ours, links, "mapping")
            else:
                self._map_tensor(name, target, rearrange)

    def _map_tensor(self, name: str, target: str, rearrange: Any) -> None:
        tensors = {s.name: (t, r) for t in self.all_theirs for r, s in t.sources.items()}
        variables = {v: (o, r) for o in self.all_ours for r, v in o.names.items()}
        for kind, word, known, names in (
            ("torch", name, tensors, [*tensors, *(t.name for t in self.theirs)]),
            ("nnx", target, variables, [*variables, *(o.path for o in self.ours)]),
        ):
            allowed = f"names of layers, or of tensors, of the {kind} module{_hint(word, names)}"
            require(word in known, "mapping", word, allowed)
        (theirs, role), (ours, own) = tensors[name], variables[target]
        if rearrange is not None:
            link = Link(target, (Source(name),), rearrange, "as the mapping says")
        else:
            link = tensor_link(theirs, role, ours, own, self.flattened.get(theirs.name))
        if link is None:
            raise ConfigError(
                f"mapping takes {name} {theirs.shapes[role]} to {target} {ours.shapes[own]}, which"
                " no rearrangement does: give (name, function)"
            )
        self.found.links.append(dataclasses.replace(link, how="mapping"))
        self.theirs = _without(self.theirs, theirs, role)
        self.ours = _without(self.ours, ours, own)
        if not any(pair.theirs.name == theirs.name for pair in self.found.pairs):
            self.found.pairs.append(Pair(theirs, ours, "mapping"))

    def _by_name(self, partial: bool = False) -> None:
        theirs = {layer.name: layer for layer in self.theirs}
        ours = {layer.path: layer for layer in self.ours}
        for name, path in equal_names(theirs, ours):
            links = links_between(theirs[name], ours[path], self.flattened.get(name), partial)
            if links:
                self._take(theirs[name], ours[path], links, "name")

    def _by_order(self) -> None:
        for theirs in list(self.theirs):
            for ours in self.ours:
                links = links_between(theirs, ours, self.flattened.get(theirs.name))
                if links:
                    self._take(theirs, ours, links, "order")
                    break

    def _expand(self) -> bool:
        """Put the parts of what is left in its place; whether there are any."""
        theirs, ours = self.theirs, self.ours
        self.ours = [part for layer in ours for part in (layer.parts or (layer,))]
        self.theirs = []
        for layer in theirs:
            fitting = (d for d in layer.parts if self._fits(d))
            self.theirs += next(fitting, (layer,))
        return self.theirs != theirs or self.ours != ours

    def _fits(self, division: tuple[TorchLayer, ...]) -> bool:
        return all(any(links_between(part, ours) for ours in self.ours) for part in division)

    def _note_the_rest(self) -> None:
        targets = {link.target for link in self.found.links}
        for layer in self.all_ours:
            for role, name in layer.names.items():
                if name not in targets:
                    self.found.only_nnx[name] = layer.shapes[role]
        read: dict[str, list[tuple[int, int] | None]] = {}
        for source in (source for link in self.found.links for source in link.sources):
            read.setdefault(source.name, []).append(source.rows)
        for layer in self.all_theirs:
            for role, source in layer.sources.items():
                rest = _unread(source, layer.shapes[role], read.get(source.name, []))
                if rest is not None:
                    name, shape = rest
                    self.found.only_torch[name] = shape


def _unread(
    source: Source, shape: Shape, read: list[tuple[int, int] | None]
) -> tuple[str, Shape] | None:
    """The rows of a tensor that no link reads, by name and shape."""
    if None in read or not math.prod(shape):
        return None
    first, last = source.rows or (0, shape[0] if shape else 1)
    while parts := [rows for rows in read if rows is not None and rows[0] <= first < rows[1]]:
        first = parts[0][1]
    if first >= last:
        return None
    whole = (first, last) == (source.rows or (0, shape[0] if shape else 1)) and not source.rows
    rest = Source(source.name, None if whole else (first, last))
    return str(rest), (shape if whole else (last - first, *shape[1:]))


def _without(layers: list[Any], layer: Any, role: str) -> list[Any]:
    """The layers, one of them without a role; left out if it has no other."""
    result = []
    for each in layers:
        if each.name == layer.name if isinstance(each, TorchLayer) else each.path == layer.path:
            key = "sources" if isinstance(each, TorchLayer) else "names"
            rest = {r: v for r, v in getattr(each, key).items() if r != role}
            each = dataclasses.replace(each, **{key: rest})
            if not rest:
                continue
        result.append(each)
    return result


def _hint(word: str, names: Sequence[str]) -> str:
    close = closest(word, names)
    return f" (did you mean {close}?)" if close and close != word else ""


def _shapes(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{role} {list(shape)}" for role, shape in shapes.items())
