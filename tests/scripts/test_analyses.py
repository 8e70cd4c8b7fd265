"""What the document of results says and draws of several records together."""

import pytest
from matplotlib.axes import Axes
from records import made, signs

from scripts.tables.analyses import Finding, errors, growth, second_block, worth
from scripts.tables.asl import confusions, rate, reflections
from scripts.tables.document import markdown
from scripts.tables.pictures import Curve, draw
from scripts.tables.rows import TABLES
from scripts.tables.thesis import WITH


def test_findings_say_what_was_measured():
    assert all(find([], "cpu").png == b"" for find in (growth, second_block, worth))
    labels = [row.label for row in TABLES["fashion_mnist_chained"].rows]
    blocks = [
        made(
            "fashion_mnist_chained",
            label,
            accuracy=0.9 + 0.01 * k,
            seconds=100 + 20 * k,
            nfe=26 - k,
        )
        for k, label in enumerate(labels)
    ]
    assert second_block(blocks[:2], "cpu").png == b""
    found = second_block(blocks, "cpu")
    assert (
        "Fashion-MNIST: adjoint, one block gets 90.00 % of the test images right with 26.0"
        " evaluations, two get" in (found.text)
    )
    assert (
        "; without adjoint, one block gets 91.00 % of the test images right with 25.0 evaluations,"
        " two get 93.00 %" in (found.text)
    )
    assert found.text.endswith("93.00 % with 23.0 each, in 1.33 times the time an epoch (medians).")
    blocks[3].result["cores"] = 1
    assert second_block(blocks, "cpu").text.endswith(
        "93.00 % with 23.0 each."
    )  # a time of another machine
    assert (
        "Fashion-MNIST: without adjoint, one block"
        in second_block(blocks[:2] + blocks[3:], "cpu").text
    )
    grown = growth(blocks, "cpu")
    assert (
        "Fashion-MNIST: ODENet, adjoint, 21.0 in the first epoch and 24.0 in the last (4)"
        in grown.text
    )
    assert found.png.startswith(b"\x89PNG")
    assert growth(blocks, "full").png == b""
    assert (
        growth([made("cifar10_tolerance", "1e-4")], "cpu").png == b""
    )  # in one epoch nothing can be seen to grow
    rows = TABLES["mnist_worth"].rows
    bare = [made("mnist_worth", row.label, accuracy=0.98 + 0.005 * k) for k, row in enumerate(rows)]
    assert worth(bare[:2], "cpu").png == b""
    assert (
        "ODENet (208,266 parameters) 2.00 %, without its ODE block (208,266 parameters) 1.50 %"
        in worth(bare, "cpu").text
    )


def test_findings_of_hand_signs():
    assert all(find([], "cpu").png == b"" for find in (rate, reflections))
    still, moved = (
        signs("asl_rate", row.label, [0.1] * 10, losses)
        for row, losses in zip(TABLES["asl_rate"].rows, [(2.31, 2.3), (2.3, 0.5)], strict=True)
    )
    assert rate([moved], "cpu").png == b""
    found = rate([still, moved], "cpu")
    assert (
        "with 1e-14 the mean loss of an epoch goes from 2.3100 to 2.3000 nats in 20 epochs"
        " (guessing: 2.3026)" in (found.text)
    )
    assert found.png.startswith(b"\x89PNG")
    upright = signs("asl_augmentations", "all but reflections", [1, 0.9, 0.8, 1])
    mirrored = signs("asl_augmentations", "all nine", [1, 0.4, 0.7, 1])
    assert reflections([upright], "cpu").png == b""
    found = reflections([upright, mirrored], "cpu")
    assert "all but reflections 92.50 %" in found.text
    assert found.text.endswith(
        "of their 10 test images that is recognised: B (90% → 40%), C (80% → 70%)."
    )
    assert "not fully trained" not in found.text
    mirrored.result["train_accuracy"] = 0.98
    assert (
        "and so not fully trained: all nine. Signs that"
        in reflections([upright, mirrored], "cpu").text
    )
    (one,) = confusions([signs("asl_10", "ODENet", [1.0] * 10)], "cpu")
    assert one[:2] == ("asl_10-odenet", "ASL alphabet, first 10 classes: ODENet")
    assert one[2].startswith(b"\x89PNG")


def test_a_neural_net_of_icebergs_solves_too():
    assert (
        "CNN with an ODE block, 21.0 in the first"
        in growth([made("iceberg", "CNN with an ODE block")], "cpu").text
    )


def test_no_error_has_a_place_on_an_axis_of_logarithms():
    record = made("mnist", WITH, accuracy=1.0)
    assert errors(record)[0] == (1, pytest.approx(100 * 0.5 / 14_000))


def test_curves_look_different_when_colours_are_used_up(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        Axes, "plot", lambda self, x, y, style, **how: drawn.append((style, how["color"]))
    )
    monkeypatch.setattr(Axes, "legend", lambda self, **how: None)
    draw(
        {
            title: [Curve(str(number), [(1, 1)]) for number in range(25)]
            for title in ("one", "other")
        }
    )
    assert len(set(drawn)) == 25
    assert drawn[:25] == drawn[25:]


def test_a_claim_stands_once_with_what_each_protocol_says():
    findings = [
        ("full", Finding("a", "It grows.")),
        ("full", Finding("b", "It falls.")),
        ("cpu", Finding("a", "It grows.", "From 1 to 2.", b"picture")),
        ("cpu", Finding("b", "It falls.")),
    ]
    text = markdown([], [], findings, "command").partition("## Claims, measured by these runs\n\n")[
        2
    ]
    assert (
        text == "Of several seeds, the run with the lowest is shown.\n\n**It grows.**\n\n"
        "`cpu`: From 1 to 2.\n\n![It grows.](a-cpu.png)\n\n`full`: not yet run.\n\n"
        "**It falls.**\n\n`full` and `cpu`: not yet run.\n"
    )
