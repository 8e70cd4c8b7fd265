"""Parts of a detector and the whole of it against torchvision's, in float64."""

from __future__ import annotations

import importlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")
if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)

from detectors import CLASSES, as_inputs, as_targets, objects, pair  # noqa: E402

from jaxode import detection  # noqa: E402
from jaxode.detection.losses import BETA  # noqa: E402
from jaxode.types import Training  # noqa: E402
from torch_ref import vision  # noqa: E402

pytestmark = pytest.mark.usefixtures("x64")

CODES, ALIGNED, LOSSES, GRADIENTS = 1e-14, 1e-12, 1e-11, 1e-10


@pytest.fixture(scope="module")
def tv():
    """torchvision's module of detection parts and its operators."""
    module = vision.load()
    utils = importlib.import_module("torchvision.models.detection._utils")
    return module.ops, utils, importlib.import_module("torchvision.models.detection.anchor_utils")


def boxes_of(count, seed=0, side=60.0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, side, (count, 2))
    return np.concatenate([low, low + rng.uniform(2, 30, (count, 2))], 1)


def error(a, b):
    return np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_anchors_are_equal_bit_for_bit(tv, dtype):
    sizes, ratios = (16, 33, 70), (0.5, 0.77, 1.0, 2.0)
    generator = tv[2].AnchorGenerator((sizes,), (ratios,))
    image_list = importlib.import_module("torchvision.models.detection.image_list").ImageList
    images = image_list(torch.zeros(1, 3, 60, 64), [(60, 64)])
    wanted = generator(images, [torch.zeros(1, 1, 6, 8, dtype=getattr(torch, dtype))])[0].numpy()
    around = detection.anchor_boxes(sizes, ratios)
    found = detection.anchors_of_map((6, 8), (10, 8), around).astype(dtype)
    np.testing.assert_array_equal(found, wanted)


def test_codes_of_boxes(tv):
    weights = (10.0, 10.0, 5.0, 5.0)
    coder, boxes, references = tv[1].BoxCoder(weights), boxes_of(40), boxes_of(40, 1)
    wanted = coder.encode_single(torch.tensor(boxes), torch.tensor(references)).numpy()
    codes = jax.jit(partial(detection.encoded, weights=weights))(boxes, references)
    assert error(codes, wanted) <= CODES
    large = wanted * np.array([1, 1, 4, 4])  # some are beyond the largest size
    assert (large[:, 2:] / 5 > np.log(1000 / 16)).any()
    back = coder.decode_single(torch.tensor(large), torch.tensor(references)).numpy()
    found = jax.jit(partial(detection.decoded, weights=weights))(large, references)
    assert error(found, back) <= CODES


@pytest.mark.parametrize("best_too", [True, False])
def test_matches_are_equal(tv, best_too):
    objects_, anchors = boxes_of(12), boxes_of(400, 1)
    overlap = tv[0].box_iou(torch.tensor(objects_), torch.tensor(anchors))
    wanted = tv[1].Matcher(0.6, 0.3, allow_low_quality_matches=best_too)(overlap).numpy()
    found = np.asarray(jax.jit(detection.overlaps)(objects_, anchors))
    assert error(found, overlap.numpy()) <= 1e-15
    padded, real = np.concatenate([found, np.full((2, 400), 0.9)]), np.arange(14) < 12
    match = jax.jit(partial(detection.matched, high=0.6, low=0.3, best_too=best_too))
    numbers = match(padded, real)
    np.testing.assert_array_equal(numbers, wanted)
    assert set(np.sign(wanted + 0.5)) == {-1.0, 1.0}


@pytest.mark.parametrize("grouped", [False, True])
def test_suppression_keeps_the_same_boxes(tv, grouped):
    rng = np.random.default_rng(2)
    boxes, scores = boxes_of(150, side=30.0), rng.permutation(150) / 150.0
    groups = rng.integers(0, 3 if grouped else 1, 150)
    both = torch.tensor(boxes), torch.tensor(scores), torch.tensor(groups)
    wanted = tv[0].batched_nms(*both, 0.4).numpy()
    order = np.argsort(-scores)
    suppress = jax.jit(partial(detection.kept, threshold=0.4))
    keep = suppress(boxes[order], np.ones(150, bool), groups=groups[order])
    np.testing.assert_array_equal(order[np.asarray(keep)], wanted)
    assert 5 < len(wanted) < 140


def test_roi_align_and_its_gradient(tv):
    rng = np.random.default_rng(3)
    maps, weights = rng.normal(size=(6, 9, 4)), rng.normal(size=(20, 7, 7, 4))
    boxes = np.clip(boxes_of(20), 0, [72, 48, 72, 48])
    boxes[0] = [3, 3, 3.5, 4]  # less than a place of the map
    theirs = torch.tensor(maps.transpose(2, 0, 1)[None], requires_grad=True)
    wanted = tv[0].roi_align(theirs, [torch.tensor(boxes)], 7, 0.125, 2)
    (wanted * torch.tensor(weights.transpose(0, 3, 1, 2))).sum().backward()

    def weighted(maps):
        found = detection.roi_align(maps, jnp.asarray(boxes), (0.125, 0.125))
        return (found * weights).sum(), found

    slope, found = jax.jit(jax.grad(weighted, has_aux=True))(maps)
    assert error(found, wanted.detach().numpy().transpose(0, 2, 3, 1)) <= ALIGNED
    assert error(slope, theirs.grad[0].numpy().transpose(1, 2, 0)) <= ALIGNED


def test_losses_of_boxes(tv):
    rng = np.random.default_rng(4)
    logits, codes = rng.normal(size=(30, CLASSES + 1)), rng.normal(size=(30, 4))
    targets, labels = codes + 0.1 * rng.normal(size=(30, 4)), rng.integers(0, CLASSES + 1, 30)
    assert (abs(codes - targets) < BETA).any()
    functional, kind = torch.nn.functional, torch.tensor(labels)
    taken = np.ones(30, bool)
    wanted = functional.cross_entropy(torch.tensor(logits), kind).item()
    found = jax.jit(detection.class_loss)(logits, labels, taken)
    assert float(found) == pytest.approx(wanted, rel=LOSSES)
    positive = kind > 0
    wanted = functional.smooth_l1_loss(
        torch.tensor(codes)[positive], torch.tensor(targets)[positive], beta=1 / 9, reduction="sum"
    )
    found = jax.jit(detection.box_loss)(codes, targets, labels, taken)
    assert float(found) == pytest.approx(wanted.item() / 30, rel=LOSSES)
    wanted = functional.binary_cross_entropy_with_logits(
        torch.tensor(logits[:, 0]), positive.double()
    )
    found = jax.jit(detection.objectness_loss)(logits[:, 0], labels, taken)
    assert float(found) == pytest.approx(wanted.item(), rel=LOSSES)


def test_a_sample_has_as_many_of_each_kind(tv):
    labels = np.repeat([1, 0, -1], [5, 40, 10])
    sampler = tv[1].BalancedPositiveNegativeSampler
    for count, share in ((8, 0.9), (100, 0.5)):
        positive, negative = sampler(count, share)([torch.tensor(labels)])
        priorities = np.random.default_rng(count).uniform(size=55)
        draw = jax.jit(partial(detection.sampled, count=count, positives=int(count * share)))
        rows, taken = draw(labels, priorities)
        chosen = np.asarray(rows)[np.asarray(taken)]
        assert len(set(chosen)) == len(chosen)
        found = [int((labels[chosen] == kind).sum()) for kind in (1, 0)]
        assert found == [int(positive[0].sum()), int(negative[0].sum())]


@pytest.mark.parametrize("kind", ["resnet", "odenet"])
def test_losses_and_gradients_of_the_whole(kind):
    """One image at a time there, for losses are means over the boxes of a batch."""
    ours, theirs, parameters = pair(kind)
    images, boxes, classes = objects()
    wanted = []
    for picture, target in zip(*as_targets(images, boxes, classes), strict=True):
        losses = theirs.train()([picture], [target])
        (sum(losses.values()) / len(images)).backward()
        names = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")
        wanted.append([losses[name].item() for name in names])

    @nnx.jit
    def work(model, inputs, training):
        def loss(model):
            outputs, stats = model(inputs, training)
            return outputs.losses.sum(1).mean(), (outputs.losses, stats.nfe)

        return nnx.grad(loss, has_aux=True)(model)

    training = Training(jax.random.split(jax.random.key(0), len(images)), jnp.ones(2))
    slopes, (losses, nfe) = work(ours, as_inputs(images, boxes, classes), training)
    np.testing.assert_allclose(losses, wanted, rtol=LOSSES)
    assert int(nfe.sum()) == theirs.backbone.nfe
    check_gradients(slopes, parameters, ours)


def test_detections_of_the_whole():
    ours, theirs, _ = pair("resnet")
    images, *_ = objects()
    with torch.no_grad():
        wanted = theirs.eval()(as_targets(images, *objects()[1:])[0])
    found = nnx.jit(lambda model, inputs: model(inputs)[0])(ours, as_inputs(images)).detections
    check_detections(found, wanted)


def check_gradients(slopes, parameters, model):
    flat = dict(nnx.to_flat_state(slopes))
    path_of = {id(mine): path for path, mine in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    assert len(flat) == len(parameters)
    one = [np.ravel(flat[path_of[id(mine)]].get_value()) for mine, _, _ in parameters]
    other = [np.ravel(layout(theirs.grad.numpy())) for _, theirs, layout in parameters]
    assert error(np.concatenate(one), np.concatenate(other)) <= GRADIENTS


def check_detections(found, wanted):
    for rows, expected in zip(np.asarray(found), wanted, strict=True):
        rows = rows[rows[:, 5] >= 0]
        assert len(rows) == len(expected["boxes"]) > 10
        np.testing.assert_allclose(rows[:, :4], expected["boxes"], rtol=1e-9)
        np.testing.assert_allclose(rows[:, 4], expected["scores"], rtol=1e-9)
        np.testing.assert_array_equal(rows[:, 5], expected["labels"] - 1)


def test_proposals_are_equal(tv):
    """Whether fewer boxes remain than are asked for, or more."""
    rpn = importlib.import_module("torchvision.models.detection.rpn")
    rng = np.random.default_rng(5)
    anchors, logits = boxes_of(200, side=40.0), rng.normal(size=200)
    codes = 0.3 * rng.normal(size=(200, 4))
    codes[:3, 2] = -30  # boxes without extent
    logits[:3] = 9
    for before, after in ((120, 10), (50, 50)):
        network = rpn.RegionProposalNetwork(
            None, None, 0.7, 0.3, 256, 0.5,
            {"training": before, "testing": before}, {"training": after, "testing": after}, 0.5,
        )  # fmt: skip
        moved = network.box_coder.decode(torch.tensor(codes), [torch.tensor(anchors)])
        wanted = network.filter_proposals(
            moved.view(1, -1, 4), torch.tensor(logits), [(48, 64)], [200]
        )[0][0].numpy()
        find = jax.jit(partial(detection.proposals, before=before, after=after, threshold=0.5))
        found = find(logits, codes, anchors, np.array([48.0, 64.0]))
        np.testing.assert_allclose(found.boxes[found.real], wanted, rtol=1e-13, atol=1e-13)
