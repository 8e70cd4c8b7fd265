"""--describe of detectors and models of depth: parameters, multiply-adds, wrong requests."""

import json

import pytest

from experiments import depth, detection

SMALL = {
    detection: ["--width=8", "--hidden=8", "--rows=32", "--columns=32", "--proposals=8"],
    depth: ["--width=8", "--decoder=32", "--image-height=32", "--image-width=32"],
}


def described(experiment, capsys, *flags):
    assert experiment.main([*SMALL[experiment], "--describe", *flags]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_solve_takes_its_evaluations_of_the_field(capsys):
    found = described(detection, capsys, "--solver=euler", "--step-size=0.5")
    work = found["multiply_adds"]
    assert work["evaluations"] == [2]
    assert work["total"] == work["outside_fields"] + 2 * sum(work["of_an_evaluation"])
    # Two 3x3 convolutions of 8 + 1 and 8 channels on 4x4 places; norms, and products with zeros,
    # make up for it.
    convolutions = 2 * 4 * 4 * 9 * 9 * 8
    assert 0.7 * convolutions < work["of_an_evaluation"][0] < 1.3 * convolutions
    assert found["classes"] == 3
    assert sum(name.startswith("backbone.blocks.0") for name in found["parameter_shapes"]) == 10


def test_an_encoder_without_solves(capsys):
    found = described(depth, capsys, "--encoder=vgg16", "--vgg-width=0.0625")
    assert found["multiply_adds"]["total"] == found["multiply_adds"]["outside_fields"] > 10**5
    assert (found["encoder"], found["height"]) == ("vgg16", 32)


@pytest.mark.parametrize(
    ("experiment", "flags", "message"),
    [
        (detection, ["--data=voc"], "--data-dir must be given"),
        (depth, ["--data=/no/such"], "/no/such"),
        (detection, ["--rows=33"], "--rows must be a multiple of 8, got 33"),
    ],
)
def test_wrong_requests_end_in_one_line(experiment, flags, message, capsys):
    assert experiment.main([*flags, "--describe"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
