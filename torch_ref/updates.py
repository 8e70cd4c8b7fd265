"""The updates of a training run in PyTorch: torch.optim with jaxode's schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from torch_ref.inputs import Batch
from torch_ref.model import ODEBlock
from torch_ref.solve import Counts

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("step", "milestones", "constant", "cosine")

Schedule = Callable[[int], float]
"""Learning rate of step 0, 1, ..."""


@dataclass(frozen=True)
class Step:
    """Loss of one batch before its update, and the costs of its solves, block by block.

    `steps` counts those tried.
    """

    loss: float
    nfe: tuple[int, ...]
    steps: tuple[int, ...]
    rejected: tuple[int, ...]
    backward_nfe: tuple[int, ...]


def make_optimizer(
    name: str,
    parameters: Iterable[Tensor],
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """torch.optim's SGD, Adam or AdamW.

    Args:
      name: "sgd", "adam" or "adamw".
      parameters: of the model.
      lr: learning rate.
      momentum: of SGD alone.
      weight_decay: added to the gradient by SGD and Adam, decoupled from it by AdamW.

    Raises:
      ValueError: another name.
    """
    match name:
        case "sgd":
            return torch.optim.SGD(parameters, lr, momentum=momentum, weight_decay=weight_decay)
        case "adam":
            return torch.optim.Adam(parameters, lr, weight_decay=weight_decay)
        case "adamw":
            return torch.optim.AdamW(parameters, lr, weight_decay=weight_decay)
    raise ValueError(f"name must be one of {', '.join(OPTIMIZERS)}, got {name!r}")


def make_schedule(
    name: str, lr: float, total_steps: int, milestones: Sequence[int] = ()
) -> Schedule:
    """A learning-rate schedule: step, milestones, cosine or constant.

    Args:
      name: "step" divides by 10 at the steps round(0.3 k total_steps), k = 1, 2, 3; "milestones" at
        those steps; "cosine" goes from lr to 0; "constant" stays at lr.
      lr: learning rate at the start.
      total_steps: that the schedule spans.
      milestones: steps from which on the rate is a tenth, a hundredth, ...

    Raises:
      ValueError: another name.
    """
    match name:
        case "step":
            # At least 1, so that even a run of one step begins at lr.
            boundaries = [max(1, round(0.3 * k * total_steps)) for k in (1, 2, 3)]
            return lambda step: lr / 10 ** sum(step >= boundary for boundary in boundaries)
        case "milestones":
            rates = [lr * float(f"1e-{k}") for k in range(len(milestones) + 1)]
            return lambda step: rates[sum(step >= milestone for milestone in milestones)]
        case "cosine":
            return lambda step: lr * (1 + math.cos(math.pi * min(step / total_steps, 1.0))) / 2
        case "constant":
            return lambda step: lr
    raise ValueError(f"name must be one of {', '.join(SCHEDULES)}, got {name!r}")


def train(
    model: nn.Sequential,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
) -> Iterator[Step]:
    """One update for each batch by the gradient of the mean cross-entropy.

    Args:
      model: of `torch_ref.model.build`; changed in place.
      batches: images [B, C, H, W] and labels [B].
      optimizer: of the model's parameters.
      schedule: learning rate of each step.

    Yields:
      The loss before each update, and the costs of its solves.
    """
    blocks = [module for module in model if isinstance(module, ODEBlock)]
    for number, (images, labels) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = schedule(number)
        for block in blocks:
            block.solver.counts = Counts()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        counts = [block.solver.counts for block in blocks]
        yield Step(
            loss.item(),
            tuple(count.nfe for count in counts),
            tuple(count.steps for count in counts),
            tuple(count.rejected for count in counts),
            tuple(block.solver.backward_nfe(block.odefunc) for block in blocks),
        )
