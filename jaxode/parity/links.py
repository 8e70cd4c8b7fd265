"""A link: one variable of the nnx module, and the PyTorch tensors that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Arrays = Mapping[str, np.ndarray]
"""Arrays by their dotted names."""

Rearrange = Callable[[np.ndarray], np.ndarray]
"""PyTorch's layout → the nnx module's; nothing is computed."""


class Source(NamedTuple):
    """A PyTorch tensor, or some of its rows.

    Args:
      name: of a parameter or buffer.
      rows: first and last + 1 of those that are meant, None for all.
    """

    name: str
    rows: tuple[int, int] | None = None

    def read(self, arrays: Arrays) -> np.ndarray:
        """The tensor's numbers, or those of its rows."""
        array = arrays[self.name]
        return array if self.rows is None else array[slice(*self.rows)]

    def __str__(self) -> str:
        """The name, with the rows in brackets."""
        return self.name if self.rows is None else f"{self.name}[{self.rows[0]}:{self.rows[1]}]"


@dataclass(frozen=True)
class Link:
    """Where a variable of the nnx module comes from.

    Args:
      target: dotted name of the variable.
      sources: the tensors whose sum it is: several where PyTorch has two biases that Flax has as
        one. A shorter one adds to the first rows.
      rearrange: of the sum, and of the gradient.
      layout: what `rearrange` does, in words.
      how: "name", "order" or "mapping".
    """

    target: str
    sources: tuple[Source, ...]
    rearrange: Rearrange
    layout: str
    how: str = ""

    @property
    def source(self) -> str:
        """Names of the tensors, for messages."""
        return " + ".join(map(str, self.sources))

    def value(self, arrays: Arrays) -> np.ndarray:
        """The variable's value, from those of the tensors."""
        total = np.array(self.sources[0].read(arrays))
        for source in self.sources[1:]:
            rows = source.read(arrays)
            total[: len(rows)] += rows
        return self.rearrange(total)

    def gradient(self, gradients: Arrays) -> np.ndarray:
        """The variable's gradient: with respect to a sum it is that of any summand."""
        return self.rearrange(self.sources[0].read(gradients))
