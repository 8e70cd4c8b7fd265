"""The state_dict in what people save: where it lies in a checkpoint, and the names in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxode.checks import printable, shortened, shown
from jaxode.interop.pickle_objects import Record
from jaxode.interop.torch_tensors import Sparse, Tensor

PLACES = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module",
    "weights", "params",
)  # fmt: skip
"""Keys of a checkpoint under which its weights are found, the most telling first."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""Beginnings of all names that nn.DataParallel, torch.compile and Lightning add."""

COMPILED = re.compile(r"(^|\.)_orig_mod\.")
"""What torch.compile adds to the names below a submodule that it wraps."""

COUNTERS = re.compile(r"(^|\.)(num_batches_tracked|n_averaged)$")
"""Counts of batches and of averaged models, on which no output depends."""

MOST_BYTES = 2**32
"""Of all weights together, as arrays."""

DEEPEST = 2
"""Levels of a checkpoint in which a state_dict is looked for."""

MOST_KEYS = 5
"""Named in a message."""


class StateDict(NamedTuple):
    """Weights by name, the flags of the program that saved them, and what was done to get them.

    Args:
      weights: arrays by name.
      flags: an `argparse.Namespace` that was saved as `args`, as a dict; None without one.
      notes: what was left out or renamed, a line each.
    """

    weights: dict[str, np.ndarray]
    flags: Mapping[str, Any] | None
    notes: tuple[str, ...]


def state_dict_of(value: Any) -> StateDict:
    """The weights in an object that `torch.save` wrote.

    It is a state_dict, or a checkpoint that has one under a usual key: `state_dict`,
    `model_state_dict`, `model`, `net`, … Names lose `module.` (nn.DataParallel), `_orig_mod.`
    (torch.compile) and `model.` (Lightning) where all have it. Optimizer states and whatever else
    stands beside are passed over, which the notes say.

    Args:
      value: plain values with `Tensor` or `Sparse` in them.

    Raises:
      ValueError: there is no state_dict, or a tensor cannot be read; names it.
    """
    flags = value.get("args") if isinstance(value, dict) else None
    found, notes = _located(value)
    weights, size = {}, 0
    for name, tensor in found.items():
        if not isinstance(tensor, (Tensor, Sparse)):
            kind = type(tensor).__name__
            raise ValueError(f"it must hold tensors by name, got {kind} under {shown(name)}")
        size += tensor.nbytes
        if size > MOST_BYTES:
            allowed = f"at most {MOST_BYTES} bytes of numbers"
            raise ValueError(f"it must hold {allowed}, got more by {shown(name)}")
        try:
            weights[name] = tensor.array()
        except ValueError as error:
            raise ValueError(f"{shown(name)}: {error}") from error
    weights, renamed = bare_names(weights)
    return StateDict(weights, flags if isinstance(flags, Record) else None, (*notes, *renamed))


def _located(value: Any) -> tuple[dict[str, Any], list[str]]:
    """The state_dict in a checkpoint, and what stands beside it."""
    notes: list[str] = []
    for _ in range(DEEPEST + 1):
        if not isinstance(value, dict):
            raise ValueError(f"it must hold a state_dict, got {type(value).__name__}")
        if any(isinstance(each, (Tensor, Sparse)) for each in value.values()):
            return value, notes
        key = _place(value)
        if key is None:
            break
        beside = [printable(str(name)) for name in value if name not in (key, "args")]
        if beside:
            notes.append(f"weights are those under {key}; left out: {_listed(beside)}")
        value = value[key]
    keys = _listed([printable(str(key)) for key in value]) if value else "nothing"
    raise ValueError(f"it must hold a state_dict, got {keys}")


def _place(checkpoint: dict[Any, Any]) -> Any:
    """The key of a checkpoint under which its weights are: a usual one, or the only one."""
    inner = [key for key, each in checkpoint.items() if isinstance(each, dict) and each]
    usual = [key for key in PLACES if key in inner]
    if usual:
        return usual[0]
    tensors = [key for key in inner
               if all(isinstance(each, Tensor) for each in checkpoint[key].values())]  # fmt: skip
    return tensors[0] if len(tensors) == 1 else None


def bare_names(weights: Mapping[Any, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Weights by the names of the bare module.

    Args:
      weights: arrays by the names of a module that may be wrapped.

    Returns:
      the arrays without prefixes of wrappers and counters of batches, and a line on each.

    Raises:
      ValueError: a name that is no text, or two that would be the same.
    """
    for name in weights:
        if not isinstance(name, str):
            raise ValueError(f"it must hold tensors by name, got one under {shown(name)}")
    counters = [name for name in weights if COUNTERS.search(name)]
    kept = {name: array for name, array in weights.items() if name not in counters}
    names, taken = dict(zip(kept, kept, strict=True)), []
    while names:
        first = next(iter(names.values()))
        prefix = next((each for each in PREFIXES if first.startswith(each)), None)
        if prefix is None or not all(name.startswith(prefix) for name in names.values()):
            break
        names = {old: name.removeprefix(prefix) for old, name in names.items()}
        taken.append(prefix)
    bare = {old: COMPILED.sub(r"\1", name) for old, name in names.items()}
    if bare != names and "_orig_mod." not in taken:
        taken.append("_orig_mod.")
    if len(set(bare.values())) < len(bare):
        raise ValueError(f"two tensors have the same name without {' and '.join(taken)}")
    notes = [f"names lose their {' and '.join(taken)}"] if taken else []
    if counters:
        notes.append(f"left out: {_listed(counters)}")
    return {bare[name]: array for name, array in kept.items()}, notes


def _listed(names: list[str]) -> str:
    shortest = [shortened(name) for name in names[:MOST_KEYS]]
    more = len(names) - len(shortest)
    return ", ".join(shortest) + (f" and {more} more" if more else "")
