"""Facts about each model, for settings, records and the command line; JAX is not imported.

`jaxode.models` builds the models, and adds the facts of a newly registered one here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ModelChoice = str | Callable[..., Any]
"""A registered model's name; or a class or function of a user's own that makes an `nnx.Module`."""


@dataclass(frozen=True)
class ModelFacts:
    """A model's name and the settings that it uses.

    Args:
      name: on the command line and in records.
      title: in plots and tables.
      default_blocks: blocks of the chain where `blocks` is None.
      uses: the settings that have an effect on it. `blocks`, `width`, `stem`,
        `downsampling_method` and `augment_dims` are fields of `ModelConfig`; `kernels` means that
        it has convolutions, so that kernels and 16-bit precisions matter; `solve` that its blocks
        are ODEs.
      classes: the only number of classes that it is made for; None for any number.
      single_band: whether its input is the first band of a radar image alone.

    Example:
      >>> from jaxode.config import MODEL_FACTS
      >>> MODEL_FACTS["odenet"].solves, MODEL_FACTS["resnet"].default_blocks
      (True, 6)
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


_CHAIN = frozenset(("blocks", "width", "stem", "downsampling_method", "kernels"))

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

EVERY_SETTING = _CHAIN | {"augment_dims", "solve"}


def model_name(model: ModelChoice) -> str:
    """The name in records.

    Args:
      model: a registered name, which is returned; or a class or function.

    Returns:
      Of a class or function, its module and qualified name, joined by a dot.

    Example:
      >>> from fractions import Fraction
      >>> from jaxode.config import model_name
      >>> model_name("odenet"), model_name(Fraction)
      ('odenet', 'fractions.Fraction')
    """
    if isinstance(model, str):
        return model
    return f"{model.__module__}.{getattr(model, '__qualname__', type(model).__qualname__)}"


def facts_of(model: ModelChoice) -> ModelFacts:
    """The facts of a model.

    Args:
      model: a registered name; or a class or function, which is assumed to use every setting if
        it has no attribute `facts`.

    Raises:
      KeyError: a name that is not registered.
    """
    if isinstance(model, str):
        return MODEL_FACTS[model]
    own = getattr(model, "facts", None)
    if isinstance(own, ModelFacts):
        return own
    name = model_name(model)
    return ModelFacts(name, name.rpartition(".")[2], default_blocks=1, uses=EVERY_SETTING)
