"""torchvision is made to import, and the suppression given to it is the greedy rule."""

import importlib.util

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)

from torch_ref import vision  # noqa: E402


def test_the_second_call_returns_the_same_module():
    assert vision.load() is vision.load()


def greedy(boxes, scores, threshold):
    """The rule of Faster R-CNN, one box after the other."""
    found = []
    for row in np.argsort(-scores):
        x0, y0, x1, y1 = boxes[row]
        for other in found:
            u0, v0, u1, v1 = boxes[other]
            common = max(0, min(x1, u1) - max(x0, u0)) * max(0, min(y1, v1) - max(y0, v0))
            union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - common
            if common / union > threshold:
                break
        else:
            found.append(row)
    return found


def test_suppression_is_the_greedy_rule():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 30, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 20, (60, 2))], 1)
    scores = rng.permutation(60) / 60
    found = vision.load().ops.nms(torch.tensor(boxes), torch.tensor(scores), 0.3).tolist()
    assert found == greedy(boxes, scores, 0.3)
    assert 3 < len(found) < 40


def test_no_boxes_are_suppressed_to_none():
    assert vision.load().ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_boxes_read_by_a_grid_are_those_of_roi_align():
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 40, (2, 15, 2))
    boxes = np.concatenate([low, low + rng.uniform(2, 30, (2, 15, 2))], 2)
    boxes = np.clip(boxes, 0, [64, 48, 64, 48])
    boxes[0, 0] = [60, 44, 64, 48]  # of less than a place of the map, at the corner
    given = [torch.tensor(each) for each in boxes]
    weights = torch.tensor(rng.normal(size=(30, 3, 7, 7)))
    found = []
    for pool in (
        vision.load().ops.MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
        vision.GridRoIAlign(),
    ):
        maps = torch.tensor(np.random.default_rng(2).normal(size=(2, 3, 6, 8)), requires_grad=True)
        pooled = pool({"0": maps}, given, [(48, 64), (48, 64)])
        (pooled * weights).sum().backward()
        found.append((pooled.detach().numpy(), maps.grad.numpy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.abs(other).max())
