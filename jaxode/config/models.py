"""What is true of each model: read by settings, records and the command line, without JAX.

How a model is built stands in `jaxode.models`, which adds the facts of a registered one here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ModelChoice = str | Callable[..., Any]
"""A registered model's name; or a class or function of a user's own that makes an `nnx.Module`."""


@dataclass(frozen=True)
class ModelFacts:
    """What a model is called and which settings it uses.

    Args:
      name: of the command line and of records.
      title: of plots and tables.
      default_blocks: blocks of the chain unless a number is given.
      uses: the settings that have an effect on it. `blocks`, `width`, `stem` and `augment_dims`
        are those of `ModelConfig`; `kernels` is there if it has convolutions, so that kernels
        and 16-bit precisions matter; `solve` if its blocks are ODEs.
      classes: the number of classes that it tells apart, if it is made for one number alone.
      single_band: whether it sees the first band of a radar image alone.
    """

    name: str
    title: str
    default_blocks: int = 0
    uses: frozenset[str] = frozenset()
    classes: int | None = None
    single_band: bool = False

    @property
    def solves(self) -> bool:
        """Whether its blocks are ODEs."""
        return "solve" in self.uses

    @property
    def convolutional(self) -> bool:
        """Whether it has convolutions."""
        return "kernels" in self.uses


_CHAIN = frozenset(("blocks", "width", "stem", "kernels"))

MODEL_FACTS: dict[str, ModelFacts] = {
    facts.name: facts
    for facts in (
        ModelFacts("odenet", "ODENet", 1, _CHAIN | {"augment_dims", "solve"}),
        ModelFacts("resnet", "ResNet", 6, _CHAIN),
        ModelFacts("mlp", "MLP"),
        ModelFacts("dense", "Dense net", classes=2, single_band=True),
        ModelFacts(
            "cnn",
            "Residual CNN",
            2,
            frozenset(("kernels",)),
            classes=2,
        ),
        ModelFacts(
            "odecnn",
            "CNN with an ODE block",
            1,
            frozenset(("kernels", "solve")),
            classes=2,
        ),
    )
}
"""The registered models by their names."""

EVERY_SETTING = frozenset(("blocks", "width", "stem", "augment_dims", "kernels", "solve"))


def model_name(model: ModelChoice) -> str:
    """A registered name as it is; of a class or function, its module and name."""
    if isinstance(model, str):
        return model
    return f"{model.__module__}.{getattr(model, '__qualname__', type(model).__qualname__)}"


def facts_of(model: ModelChoice) -> ModelFacts:
    """The facts of a registered model; of a user's own, that it may use every setting.

    Raises:
      KeyError: a name that is not registered.
    """
    if isinstance(model, str):
        return MODEL_FACTS[model]
    name = model_name(model)
    return ModelFacts(name, name.rpartition(".")[2], default_blocks=1, uses=EVERY_SETTING)
