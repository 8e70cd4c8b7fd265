"""A background thread that prepares the next items of an iterator while the present one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, Self, TypeVar

import jax

Item = TypeVar("Item")
Placed = TypeVar("Placed")

AHEAD = 2
"""Items that are ready or in preparation beside the one in use."""

POLL_SECONDS = 0.1
"""How soon a signal is handled that the system delivered to another thread."""


class Prefetch(Generic[Item, Placed]):
    """The items of an iterator, prepared `AHEAD` before they are needed, in order.

    Args:
      items: read by the background thread alone.
      place: what the thread makes of each, such as a copy on a device.

    An error of `items` or `place` is raised where its item would be returned. Close it, or use it
    as a context: the thread ends after the item that it is preparing.
    """

    def __init__(self, items: Iterator[Item], place: Callable[[Item], Placed]) -> None:
        self._items, self._place = items, place
        # JAX's setting of 64 bits belongs to a thread.
        self._x64 = bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]
        self._worker = ThreadPoolExecutor(1, "jaxode-prefetch")
        self._pending: deque[Future[Placed | None]] = deque()
        for _ in range(AHEAD):
            self._begin()

    def __iter__(self) -> Iterator[Placed]:
        """The items that are left."""
        return self

    def __next__(self) -> Placed:
        """The next item."""
        future = self._pending.popleft()
        # A wait without end would not notice a signal until it is over.
        while not wait([future], POLL_SECONDS).done:
            pass
        placed = future.result()
        self._begin()
        if placed is None:
            raise StopIteration
        return placed

    def close(self) -> None:
        """End the thread."""
        self._worker.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        self._pending.append(self._worker.submit(self._next))

    def _next(self) -> Placed | None:
        with jax.enable_x64(self._x64):
            for item in self._items:
                return self._place(item)
        return None
