"""Which calls are compared: modules of both sides that hold the same weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from jaxode.parity.matching import Pair
from jaxode.parity.names import normal


class Counterparts(NamedTuple):
    """Two modules whose outputs are compared.

    Args:
      theirs: dotted name of the PyTorch module; empty for the whole.
      ours: dotted path of the nnx module; likewise.
      kind: of the PyTorch layer; "whole" or "container" where there are several.
    """

    theirs: str
    ours: str
    kind: str


def counterparts(
    pairs: Sequence[Pair], theirs: Collection[str], ours: Collection[str]
) -> list[Counterparts]:
    """Pairs of modules that hold the same matched layers.

    Modules with weights of their own are paired with their like; modules around them only where
    there is no doubt: as many on both sides, or the same name.

    Args:
      pairs: the layers that are the same.
      theirs: names of the PyTorch modules that were called.
      ours: paths of the nnx modules that were called.
    """
    found = [Counterparts("", "", "whole")]
    groups_theirs = _by_content([pair.theirs.module for pair in pairs], theirs)
    groups_ours = _by_content([pair.ours.path for pair in pairs], ours)
    for content, outer in groups_theirs.items():
        if not content or content not in groups_ours:
            continue
        inner = groups_ours[content]
        kinds = {pairs[number].theirs.kind for number in content}
        owners = {pairs[number].theirs.module for number in content}
        # A recurrent module runs over a whole sequence, its nnx cell over one time.
        sequence = len(owners) == 1 and all("_l" in s.name for n in content
                                            for s in pairs[n].theirs.sources.values())  # fmt: skip
        kind = kinds.pop() if len(content) == 1 else "container"
        found += [Counterparts(t, o, kind) for t, o in _aligned(outer, inner, kind, sequence)]
    return found


def _by_content(owners: Sequence[str], modules: Collection[str]) -> dict[frozenset[int], list[str]]:
    """Modules by the numbers of the layers in them, the outer ones first; without the whole."""
    groups: dict[frozenset[int], list[str]] = {}
    for name in sorted(modules, key=lambda name: name.count(".")):
        if name:
            held = (n for n, o in enumerate(owners) if o == name or o.startswith(name + "."))
            groups.setdefault(frozenset(held), []).append(name)
    return groups


def _aligned(
    theirs: list[str], ours: list[str], kind: str, sequence: bool
) -> list[tuple[str, str]]:
    if sequence:
        return [(theirs[-1], ours[0])]
    if len(theirs) == len(ours):
        return list(zip(theirs, ours, strict=True))
    if kind != "container":
        return [(theirs[-1], ours[-1])]
    last = {normal(name).split(".")[-1]: name for name in ours}
    return [(t, last[key]) for t in theirs if (key := normal(t).split(".")[-1]) in last]
