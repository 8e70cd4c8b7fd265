"""A detector from its settings, which a run records beside its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxode.checks import require, require_choice, require_count
from jaxode.config import SolveConfig
from jaxode.models.backbones import ODEBackbone, PyramidBackbone, ResidualBackbone
from jaxode.models.bottleneck_resnet import EXPANSION, RESNET101, BottleneckResNet
from jaxode.models.detector import Detector
from jaxode.models.detector_interface import DetectorSettings
from jaxode.models.recorded_settings import settings_of
from jaxode.models.vgg import VGGFeatures, scaled_stages
from jaxode.nn.blocks import ResidualBlock
from jaxode.nn.detector_heads import BoxHead, RegionHead
from jaxode.nn.fields import ConvField
from jaxode.nn.halving_stem import HalvingStem
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import GroupNorm
from jaxode.nn.ode_block import ODEBlock

FILE = "detector.json"
"""Where a run has them."""

BACKBONES = ("odenet", "resnet", "resnet101", "vgg16")
WIDTH = 64
"""Channels of the first stage of the published ResNet-101 and VGG-16."""

STEMS = {"eighth": 3, "sixteenth": 4}
"""By name: how often the stem halves the sides of an image."""


@dataclass(frozen=True)
class DetectorConfig:
    """Which detector, and its sizes.

    Args:
      classes: K, without background.
      backbone: odenet; resnet: residual blocks in place of ODE blocks; resnet101 or vgg16, up to
        the map that `stem` asks for: conv3 or conv4, conv4_3 or conv5_3.
      stem: eighth or sixteenth of the image's sides that the map has.
      width: channels of the feature map, even; of resnet101 and vgg16, of the first stage, which
        has 64 in the published ones.
      blocks: of odenet and resnet.
      hidden: units of each of the box head's two layers.
      anchors: sizes of anchors in pixels, joined by commas.
      ratios: of anchors' height to width, joined by commas.
      proposals: after suppression; three times as many before.
      boxes: proposals of an image that the losses are means over.
      rows: of the canvas, in pixels.
      columns: of the canvas, in pixels.

    Raises:
      ConfigError: a value that is not allowed.

    Example:
      >>> from jaxode.models.detector_config import DetectorConfig
      >>> DetectorConfig(3).settings.sizes
      (16.0, 32.0, 64.0, 128.0)
    """

    classes: int
    backbone: str = "odenet"
    stem: str = "eighth"
    width: int = 64
    blocks: int = 1
    hidden: int = 256
    anchors: str = "16,32,64,128"
    ratios: str = "0.5,1,2"
    proposals: int = 300
    boxes: int = 128
    rows: int = 240
    columns: int = 320

    def __post_init__(self) -> None:
        require_choice("backbone", self.backbone, BACKBONES)
        require_choice("stem", self.stem, tuple(STEMS))
        for name in ("classes", "width", "hidden", "proposals", "boxes", "rows", "columns"):
            require_count(name, getattr(self, name))
        require_count("blocks", self.blocks, 0)
        require(self.width % 2 == 0, "width", self.width, "even")
        for name in ("rows", "columns"):
            whole = getattr(self, name) % self.stride == 0
            require(whole, name, getattr(self, name), f"a multiple of {self.stride}")
        self.settings  # noqa: B018 - raises ConfigError

    @property
    def stride(self) -> int:
        """Pixels from one place of the map to the next."""
        return 2 ** STEMS[self.stem]

    @property
    def solves(self) -> bool:
        """Whether the model solves an ODE."""
        return self.backbone == "odenet" and self.blocks > 0

    @property
    def settings(self) -> DetectorSettings:
        """How boxes are proposed, sampled and chosen. Raises ConfigError."""
        return DetectorSettings(
            sizes=numbers_of("anchors", self.anchors, 1e5),
            ratios=numbers_of("ratios", self.ratios, 100.0),
            before=3 * self.proposals,
            after=self.proposals,
            box_sample=self.boxes,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> DetectorConfig:
        """The settings that `dataclasses.asdict` gave. Raises ConfigError."""
        return settings_of(cls, values, FILE)


def numbers_of(name: str, text: str, largest: float) -> tuple[float, ...]:
    """Numbers that are joined by commas.

    Args:
      name: of the setting.
      text: its value.
      largest: number that is allowed; all are above 0.

    Raises:
      ConfigError: what is none, or out of range.
    """
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = ()
    allowed = bool(found) and len(found) <= 16 and all(0 < each <= largest for each in found)
    require(allowed, name, text, f"1 to 16 numbers above 0 and up to {largest:g}, joined by commas")
    return found


def create_detector(
    config: DetectorConfig,
    solve: SolveConfig | None = None,
    *,
    rngs: nnx.Rngs,
    kernels: Kernels | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Detector:
    """A detector with initial parameters.

    Args:
      config: which.
      solve: how its ODE is solved, if it has one.
      rngs: stream `params` of keys.
      kernels: convolution and group norm; None for the quickest in float32.
      dtype: floating-point type of the parameters.

    Example:
      >>> from flax import nnx
      >>> from jaxode.models.detector_config import DetectorConfig, create_detector
      >>> config = DetectorConfig(3, width=8, hidden=8)
      >>> model = nnx.eval_shape(lambda: create_detector(config, rngs=nnx.Rngs(0)))
      >>> type(model.backbone).__name__
      'ODEBackbone'
    """
    both: dict[str, Any] = {"rngs": rngs, "dtype": dtype}
    implicit = solve is not None and solve.solver_facts.implicit
    within = kernels or choose_kernels(forward_mode=implicit)
    kernels = kernels or choose_kernels()
    settings = config.settings
    backbone, channels = _backbone(config, solve, kernels, within, both)
    region = RegionHead(channels, settings.anchors, kernels=kernels, **both)
    head = BoxHead(settings.bins**2 * channels, config.hidden, config.classes, **both)
    return Detector(backbone, region, head, settings)


def _backbone(
    config: DetectorConfig,
    solve: SolveConfig | None,
    kernels: Kernels,
    within: Kernels,
    both: dict[str, Any],
) -> tuple[nnx.Module, int]:
    """A backbone, and the channels of its map; `within` are the kernels of a field."""
    width, halvings = config.width, STEMS[config.stem]
    if config.backbone == "vgg16":
        stages = scaled_stages(width / WIDTH)[: halvings + 1]
        network = VGGFeatures(3, stages, kernels=kernels, **both)
        return PyramidBackbone(network, halvings), stages[-1][-1]
    if config.backbone == "resnet101":
        # The map of a fourth of the sides is the first; what follows the one chosen is left out.
        blocks = (*RESNET101[: halvings - 1], *[0] * (5 - halvings))
        network = BottleneckResNet(1, blocks, width=width / WIDTH, kernels=kernels, **both)
        del network.fc  # of classifiers
        return PyramidBackbone(network, halvings - 2), EXPANSION * width * 2 ** (halvings - 2)
    stem = HalvingStem(3, width, halvings, kernels=kernels, **both)
    norm = GroupNorm(width, kernels=kernels, dtype=both["dtype"])
    if config.backbone == "odenet":
        fields = [ConvField(width, kernels=within, **both) for _ in range(config.blocks)]
        return ODEBackbone(stem, [ODEBlock(each, solve) for each in fields], norm), width
    residual = [ResidualBlock(width, kernels=kernels, **both) for _ in range(config.blocks)]
    return ResidualBackbone(stem, residual, norm), width
