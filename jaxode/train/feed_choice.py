"""Which feed brings the batches of a data set."""

from __future__ import annotations

from collections.abc import Mapping

import jax

from jaxode.checks import ConfigError, require
from jaxode.config import RunConfig
from jaxode.data import BatchStream, Dataset
from jaxode.data.streaming import Examples
from jaxode.distributed.mesh import DeviceMesh
from jaxode.train.feeds import Feed
from jaxode.train.resident_feed import ResidentFeed
from jaxode.train.streamed_feed import StreamedFeed


def choose_feed(config: RunConfig, data: Dataset, mesh: DeviceMesh) -> Feed:
    """The feed that `config.data.feed` names.

    Raises:
      ConfigError: a stream is to be resident, or batches are to be streamed to several processes.
    """
    splits, feed = data.splits, config.data.feed
    arrays = {name: s for name, s in splits.items() if not isinstance(s, BatchStream)}
    streamed = len(arrays) < len(splits)
    if feed == "auto":
        feed = "streamed" if streamed or not _fit(arrays) else "resident"
    if feed == "resident":
        require(not streamed, "feed", feed, f"streamed or auto for {data.name}, which is a stream")
        return ResidentFeed(config, arrays, mesh)
    if jax.process_count() > 1:
        raise ConfigError("feed must be resident for several processes, got 'streamed'")
    return StreamedFeed(config, splits, mesh)


def _fit(splits: Mapping[str, Examples]) -> bool:
    """Whether arrays take at most half of a device's memory, where that is known."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    size = sum(array.nbytes for split in splits.values() for array in split.values())
    return limit is None or size <= limit / 2
