"""Which model is trained.

Every field is one command-line flag, with its help text next to its default.
"""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from jaxode.checks import Range, require
from jaxode.config.choices import DownsamplingName, StemName
from jaxode.config.fields import check_fields, setting
from jaxode.config.models import MODEL_FACTS, ModelChoice, ModelFacts, facts_of, model_name

MOST_ODE_BLOCKS = 32
"""Every ODE block is a solve that is traced and compiled: 0.3 s each for --describe."""

WIDTHS = Range(1, 2048)
"""Channels of the feature maps."""

STEM_DEFAULTS = {"stem": "quarter", "downsampling_method": "conv"}
"""Settings of the downsampling segment, which a model without one must leave as they are."""


@dataclass(frozen=True)
class ModelConfig:
    """Which model: a registered one by its name, or a class or function of your own.

    Args:
      model: a registered name; or a class or function that makes an `nnx.Module`
        (`jaxode.create_model`).
      blocks: ODE blocks (at most 32) or residual blocks (at most 128); None for the default.
      width: channels of the feature maps, 1 to 2048, a multiple of 32 if above 32.
      augment_dims: zero channels that are appended to the ODE state, 0 to 1024 (Dupont, Doucet and
        Teh 2019, "Augmented Neural ODEs").
      stem: side of the first feature map as a share of the image's.
      downsampling_method: layers after the first convolution that halve the side: "conv" for
        convolutions 4x4 of stride 2, "res" for residual blocks whose first convolution has stride 2
        (both of torchdiffeq's odenet_mnist.py).

    Raises:
      ConfigError: a value outside its range, or a setting that the model does not use.

    Example:
      >>> from jaxode import ModelConfig
      >>> ModelConfig("resnet").blocks
      6
    """

    model: ModelChoice = setting(
        "odenet",
        "classifier: odenet: ODE blocks; resnet: residual blocks; mlp: one hidden layer of 300; of"
        " radar images: dense: four hidden layers of 128; cnn: a residual convolutional net;"
        " odecnn: that with an ODE for its two blocks",
        choices=MODEL_FACTS,
    )
    blocks: int | None = setting(
        None,
        f"ODE blocks (default 1, at most {MOST_ODE_BLOCKS}) or residual blocks (default 6) in the"
        " chain; 0: none",
        Range(0, 128),
    )
    width: int = setting(64, "channels of the feature maps; a multiple of 32 if above 32", WIDTHS)
    augment_dims: int = setting(
        0, "zero channels that are appended to the state of the ODE blocks", Range(0, 1024)
    )
    stem: StemName = setting(
        "quarter",
        "side of the downsampled map as a share of the image's: quarter: three convolutions;"
        " eighth, sixteenth: one or two more of stride 2, for larger images",
    )
    downsampling_method: DownsamplingName = setting(
        "conv",
        "layers that halve the side of the map: conv: convolutions of stride 2; res: residual"
        " blocks of stride 2, as odenet_mnist.py of torchdiffeq calls them",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        name, own = self.facts.name, self.facts.default_blocks
        if self.blocks is None:
            object.__setattr__(self, "blocks", own)
        if "blocks" not in self.facts.uses:
            require(
                self.blocks == own,
                "blocks",
                self.blocks,
                f"left out for the {name}, which has {own or 'none'}",
            )
        solvable = self.ode_blocks <= MOST_ODE_BLOCKS
        require(solvable, "blocks", self.blocks, f"at most {MOST_ODE_BLOCKS} for the {name}")
        require(
            self.width % min(32, self.width) == 0,
            "width",
            self.width,
            "at most 32 or a multiple of 32",
        )
        augmentable = "augment_dims" in self.facts.uses and self.ode_blocks > 0
        useful = self.augment_dims == 0 or augmentable
        require(useful, "augment_dims", self.augment_dims, "0 for a model without ODE blocks")
        for setting_name, usual in STEM_DEFAULTS.items():
            value = getattr(self, setting_name)
            known = value == usual or setting_name in self.facts.uses
            require(known, setting_name, value, f"left out for the {name}")

    @property
    def name(self) -> str:
        """The name in records: the registered name, or a class's or function's module and name."""
        return model_name(self.model)

    @property
    def facts(self) -> ModelFacts:
        """The model's title and the settings that it uses."""
        return facts_of(self.model)

    @property
    def ode_blocks(self) -> int:
        """How many ODE blocks the model solves; 0 for one without blocks."""
        return (self.blocks or 0) if self.facts.solves else 0

    @property
    def stem_convolutions(self) -> int:
        """Convolutions of the stem "conv": the first of stride 1, the others of stride 2."""
        return 3 + get_args(StemName).index(self.stem)

    @property
    def stem_blocks(self) -> int:
        """Residual blocks of the stem "res", each of stride 2."""
        return self.stem_convolutions - 1
