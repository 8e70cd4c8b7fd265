"""Which PyTorch and nnx names mean the same layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

DROPPED = ("layers", "cell", "l0", "forward_rnn")
"""Parts of a name that one framework has and the other has not."""


def normal(name: str) -> str:
    """A name without what differs by habit: case, a trailing underscore, DROPPED.

    Example:
      >>> from jaxode.parity.names import normal
      >>> normal("encoder.layers.0.Linear1"), normal("encoder.0.linear1")
      ('encoder.0.linear1', 'encoder.0.linear1')
    """
    parts = (part.lower().rstrip("_") for part in name.split("."))
    return ".".join(part for part in parts if part not in DROPPED)


def equal_names(theirs: Collection[str], ours: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of PyTorch and nnx names that mean the same.

    A name with a number counts only if both sides have the same numbers there: the activations of
    an `nn.Sequential` are modules with a number of their own, and may be none on the other side.

    Args:
      theirs: dotted names of PyTorch.
      ours: dotted names of the nnx module.
    """
    normal_theirs, normal_ours = _unique(theirs), _unique(ours)
    numbers_theirs, numbers_ours = _numbers(normal_theirs), _numbers(normal_ours)
    return [
        (name, normal_ours[key])
        for key, name in normal_theirs.items()
        if key in normal_ours
        and all(numbers_theirs[p] == numbers_ours.get(p) for p in _prefixes(key))
    ]


def _unique(names: Collection[str]) -> dict[str, str]:
    """Names by their normal form, without those of which two have the same."""
    counts = Counter(map(normal, names))
    return {normal(name): name for name in names if counts[normal(name)] == 1}


def _prefixes(name: str) -> Sequence[str]:
    """What stands before each number in a name."""
    parts = name.split(".")
    return [".".join(parts[:at]) for at, part in enumerate(parts) if part.isdigit()]


def _numbers(names: Collection[str]) -> dict[str, set[str]]:
    """The numbers that follow each prefix."""
    found: dict[str, set[str]] = {}
    for name in names:
        for prefix in _prefixes(name):
            rest = name[len(prefix) :].lstrip(".")
            found.setdefault(prefix, set()).add(rest.split(".")[0])
    return found
