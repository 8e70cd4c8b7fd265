"""Padded records of irregularly sampled series, and what the recurrent models share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Record(NamedTuple):
    """One series without padding."""

    times: Tensor
    """[N], increasing."""
    values: Tensor
    """[N, D]; what stands where the mask is 0 is not read."""
    mask: Tensor
    """[N, D]: 1 where a value was observed, 0 elsewhere."""


class Records(NamedTuple):
    """Series of different lengths and times; what stands behind a series' length is not read."""

    times: Tensor
    """[B, T]."""
    values: Tensor
    """[B, T, D]."""
    mask: Tensor
    """[B, T, D]."""
    lengths: Tensor
    """[B], each at least 1."""

    def each(self) -> Iterator[Record]:
        """The series one by one, unobserved values as zeros."""
        for times, values, mask, n in zip(*self[:3], self.lengths.tolist(), strict=True):
            seen = torch.where(mask[:n] > 0, values[:n], 0.0)
            yield Record(times[:n], seen, mask[:n])


def hold(states: Tensor, rows: int) -> Tensor:
    """[N, H] → [rows, H]: the last row again as often as is needed."""
    return torch.cat([states, states[-1:].expand(rows - len(states), -1)])


class Recurrent(nn.Module):
    """A state after every row of a record, which a subclass defines, and a layer that reads it."""

    readout: nn.Linear

    def states(self, record: Record) -> Tensor:
        """[N, H]: the state after each row."""
        raise NotImplementedError

    def trajectories(self, records: Records) -> Tensor:
        """States [B, T, H].

        Behind a record's length stands its last state, so that `[:, -1]` is the last of each.
        """
        rows = records.times.shape[1]
        return torch.stack([hold(self.states(record), rows) for record in records.each()])

    def forward(self, records: Records, *, every: bool = False) -> Tensor:
        """Outputs [B, O] of each record's last state, or [B, T, O] of every one."""
        states = self.trajectories(records)
        return self.readout(states if every else states[:, -1])


def classification_loss(model: Recurrent, records: Records, labels: Tensor) -> Tensor:
    """Mean cross-entropy of labels [B] and the outputs of each record's last state, in nats."""
    return F.cross_entropy(model(records), labels)
