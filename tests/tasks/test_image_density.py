"""Bits per dimension as a task's loss, metric and report."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.tasks import ImageDensity

LOG_P = jnp.array([-10.0, -20.0, 1e6])
BATCH = {"points": jnp.zeros((3, 2, 2, 1)), "weight": jnp.array([1.0, 1.0, 0.0])}


def test_all_are_bits_of_a_number_of_an_image():
    task, expected = ImageDensity(4), 15 / (4 * math.log(2))
    loss, log_p = task.loss(lambda x: LOG_P, BATCH, jnp.array(2.0))
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    sums = {name: np.asarray(each) for name, each in task.metrics(log_p, BATCH).items()}
    assert task.summarize(sums) == {"bits_per_dim": pytest.approx(expected, rel=1e-6)}
    report = task.report({"log_p": np.array([-10.0, -20.0])}, None)["density"]
    assert report["bits_per_dim"] == pytest.approx(expected)
    assert report["standard_error"] == pytest.approx(5 / math.sqrt(2) / (4 * math.log(2)))
    assert report["nats"] == -15
