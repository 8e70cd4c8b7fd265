"""Faster R-CNN on one feature map, with fixed shapes throughout."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxode.detection.anchors import anchor_boxes, anchors_of_map
from jaxode.detection.boxes import encoded, overlaps
from jaxode.detection.losses import box_loss, class_loss, objectness_loss
from jaxode.detection.matching import BACKGROUND, BETWEEN, matched
from jaxode.detection.proposals import Proposals, detections, proposals
from jaxode.detection.roi_align import roi_align
from jaxode.detection.sampling import sampled
from jaxode.models.detector_interface import DetectorInputs, DetectorOutputs, DetectorSettings
from jaxode.nn.detector_heads import BoxHead, RegionHead
from jaxode.ode import Stats
from jaxode.types import Training

ANCHORS, BOXES = 101, 102
"""What an image's key is folded with for the sample of anchors, and of boxes."""


class Detector(nnx.Module):
    """Backbone · region head · proposals · RoIAlign · box head.

    In training (`training` is given) it returns losses alone. In evaluation it returns detections
    and, if the inputs have objects, losses, whose sample is then always the same.

    Source: Ren et al. 2015, "Faster R-CNN"; torchvision's `FasterRCNN` with one map.

    Args:
      backbone: (images, training) → the feature map [B, h, w, C] and statistics of its solves.
      region: head of the anchors.
      head: head of the boxes.
      settings: how boxes are chosen.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import DetectorInputs
      >>> from jaxode.models.detector_config import DetectorConfig, create_detector
      >>> config = DetectorConfig(3, width=8, hidden=8, backbone="resnet", blocks=1)
      >>> model = nnx.eval_shape(lambda: create_detector(config, rngs=nnx.Rngs(0)))
      >>> inputs = DetectorInputs(jnp.zeros((1, 64, 64, 3)), jnp.full((1, 2), 64.0))
      >>> outputs, stats = nnx.eval_shape(lambda model: model(inputs), model)
      >>> outputs.detections.shape
      (1, 100, 6)
    """

    def __init__(
        self, backbone: Any, region: RegionHead, head: BoxHead, settings: DetectorSettings
    ) -> None:
        self.backbone, self.region, self.head = backbone, region, head
        self.settings = settings

    def __call__(
        self, inputs: DetectorInputs, training: Training | None = None
    ) -> tuple[DetectorOutputs, Stats]:
        """Losses in training, else detections (and losses); and the solves' statistics."""
        chosen = self.settings
        maps, stats = self.backbone(inputs.images, training)
        sides = inputs.images.shape[1:3]
        around = anchor_boxes(chosen.sizes, chosen.ratios)
        stride = (sides[0] // maps.shape[1], sides[1] // maps.shape[2])
        anchors = jnp.asarray(anchors_of_map(maps.shape[1:3], stride, around), maps.dtype)
        logits, codes = self.region(maps)
        propose = partial(
            proposals,
            before=chosen.before,
            after=chosen.after,
            threshold=chosen.region_overlap,
        )
        found = jax.vmap(propose, (0, 0, None, 0))(
            jax.lax.stop_gradient(logits), jax.lax.stop_gradient(codes), anchors, inputs.extents
        )
        scale = (maps.shape[1] / sides[0], maps.shape[2] / sides[1])
        truth = None
        if inputs.boxes is not None and inputs.classes is not None:
            keys = jnp.broadcast_to(jax.random.key(0), len(maps)) if training is None else (
                training.keys
            )  # fmt: skip
            truth = (inputs.boxes, inputs.classes, keys)
        if training is not None:
            assert truth is not None, "a detector's training needs boxes and classes"
            boxes, classes, _ = truth
            sample = jax.vmap(self._samples)(*truth, _with_objects(found, boxes, classes))
            class_logits, class_codes = self._within(maps, sample.boxes, scale)
            second = jax.vmap(self._second_losses)(class_logits, class_codes, sample)
            first = jax.vmap(self._first_losses, (0, 0, None, 0, 0, 0))(
                logits, codes, anchors, *truth
            )
            return DetectorOutputs(jnp.concatenate([first, second], 1), None), stats
        class_logits, class_codes = self._within(maps, found.boxes, scale)
        detect = partial(
            detections,
            weights=chosen.weights,
            score=chosen.score,
            threshold=chosen.overlap,
            candidates=chosen.candidates,
            count=chosen.detections,
        )
        rows = jax.vmap(detect)(class_logits, class_codes, found, inputs.extents)
        losses = None
        if truth is not None:
            sample = jax.vmap(self._samples)(*truth, found)
            pick = jax.vmap(lambda x, rows: x[rows])
            picked = pick(class_logits, sample.rows), pick(class_codes, sample.rows)
            second = jax.vmap(self._second_losses)(*picked, sample)
            first = jax.vmap(self._first_losses, (0, 0, None, 0, 0, 0))(
                logits, codes, anchors, *truth
            )
            losses = jnp.concatenate([first, second], 1)
        return DetectorOutputs(losses, rows), stats

    def _within(
        self, maps: Array, boxes: Float[Array, "B R 4"], scale: tuple[float, float]
    ) -> tuple[Float[Array, "B R K"], Float[Array, "B R K 4"]]:
        """What the box head says of boxes: logits and codes."""
        bins, samples = self.settings.bins, self.settings.samples
        align = partial(roi_align, scale=scale, bins=bins, samples=samples)
        pooled = jax.vmap(align)(maps, jax.lax.stop_gradient(boxes))
        logits, codes = self.head(pooled.reshape(-1, bins * bins * maps.shape[-1]))
        shape = boxes.shape[:2]
        return logits.reshape(*shape, -1), codes.reshape(*shape, -1, 4)

    def _first_losses(
        self,
        logits: Float[Array, " N"],
        codes: Float[Array, "N 4"],
        anchors: Float[Array, "N 4"],
        boxes: Float[Array, "M 4"],
        classes: Int[Array, " M"],
        key: PRNGKeyArray,
    ) -> Float[Array, " 2"]:
        """The losses of an image's anchors."""
        chosen = self.settings
        object_of = matched(
            overlaps(boxes, anchors),
            classes >= 0,
            chosen.anchor_high,
            chosen.anchor_low,
            best_too=True,
        )
        labels = jnp.where(object_of >= 0, 1, jnp.where(object_of == BETWEEN, -1, 0))
        priorities = jax.random.uniform(jax.random.fold_in(key, ANCHORS), labels.shape, jnp.float32)
        count = chosen.anchor_sample
        rows, taken = sampled(labels, priorities, count, int(count * chosen.anchor_share))
        targets = encoded(boxes[jnp.maximum(object_of[rows], 0)], anchors[rows])
        labels = labels[rows]
        return jnp.stack(
            [
                objectness_loss(logits[rows], labels, taken),
                box_loss(codes[rows], targets, labels, taken),
            ]
        )

    def _samples(
        self,
        boxes: Float[Array, "M 4"],
        classes: Int[Array, " M"],
        key: PRNGKeyArray,
        found: Proposals,
    ) -> _Sample:
        """The proposals of an image that the losses are means over."""
        chosen = self.settings
        object_of = matched(
            overlaps(boxes, found.boxes), classes >= 0, chosen.box_overlap, chosen.box_overlap
        )
        labels = jnp.where(object_of == BACKGROUND, 0, classes[jnp.maximum(object_of, 0)] + 1)
        labels = jnp.where(found.real, labels, -1)
        priorities = jax.random.uniform(jax.random.fold_in(key, BOXES), labels.shape, jnp.float32)
        count = chosen.box_sample
        rows, taken = sampled(labels, priorities, count, int(count * chosen.box_share))
        targets = encoded(boxes[jnp.maximum(object_of[rows], 0)], found.boxes[rows], chosen.weights)
        return _Sample(rows, found.boxes[rows], labels[rows], targets, taken)

    def _second_losses(
        self, logits: Float[Array, "R K"], codes: Float[Array, "R K 4"], sample: _Sample
    ) -> Float[Array, " 2"]:
        """The losses of an image's sampled proposals."""
        labels, taken = sample.labels, sample.taken
        own = jnp.take_along_axis(codes, jnp.maximum(labels, 0)[:, None, None], 1)[:, 0]
        return jnp.stack(
            [class_loss(logits, labels, taken), box_loss(own, sample.targets, labels, taken)]
        )


class _Sample(NamedTuple):
    """Proposals of an image and what is wanted of them."""

    rows: Int[Array, " R"]
    boxes: Float[Array, "R 4"]
    labels: Int[Array, " R"]
    targets: Float[Array, "R 4"]
    taken: Bool[Array, " R"]


def _with_objects(
    found: Proposals, boxes: Float[Array, "B M 4"], classes: Int[Array, "B M"]
) -> Proposals:
    """The proposals of a batch and the objects themselves, so that there are some that find one."""
    return Proposals(
        jnp.concatenate([found.boxes, boxes], 1), jnp.concatenate([found.real, classes >= 0], 1)
    )
