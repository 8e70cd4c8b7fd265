"""What the document of results says and draws of several records together."""

from records import made, signs

from scripts.tables.findings import growth, second_block, worth
from scripts.tables.rows import TABLES
from scripts.tables.signs import confusions, rate, reflections


def test_findings_say_what_was_measured():
    assert all(find([], "cpu").png is None for find in (growth, second_block, worth))
    labels = [row.label for row in TABLES["fashion_mnist_chained"].rows]
    blocks = [made("fashion_mnist_chained", label, accuracy=0.9 + 0.01 * number) for number, label in enumerate(labels)]
    assert second_block(blocks[:2], "cpu").png is None
    found = second_block(blocks, "cpu")
    assert "one block 90.50 % of the test images with 26.0 evaluations, two blocks 92.50 %" in found.text
    grown = growth(blocks, "cpu")
    assert "Fashion-MNIST: ODENet, adjoint, 21.0 in the first epoch and 24.0 in the last (4)" in grown.text
    assert found.png.startswith(b"\x89PNG")
    assert growth(blocks, "full").png is None
    rows = TABLES["mnist_worth"].rows
    bare = [made("mnist_worth", row.label, accuracy=0.98 + 0.005 * k) for k, row in enumerate(rows)]
    assert worth(bare[:2], "cpu").png is None
    assert (
        "ODENet (208,266 parameters) 2.00 %, without its ODE block (208,266 parameters) 1.50 %"
        in worth(bare, "cpu").text
    )


def test_findings_of_hand_signs():
    assert all(find([], "cpu").png is None for find in (rate, reflections))
    still, moved = (
        signs("asl_rate", row.label, [0.1] * 10, losses)
        for row, losses in zip(TABLES["asl_rate"].rows, [(2.31, 2.3), (2.3, 0.5)], strict=True)
    )
    assert rate([moved], "cpu").png is None
    found = rate([still, moved], "cpu")
    assert "with 1e-14 the mean loss of an epoch goes from 2.3100 to 2.3000 nats in 20 epochs (guessing: 2.3026)" in (
        found.text
    )
    assert found.png.startswith(b"\x89PNG")
    upright = signs("asl_augmentations", "all but reflections", [1, 0.9, 0.8, 1])
    mirrored = signs("asl_augmentations", "all of the plan", [1, 0.4, 0.7, 1])
    assert reflections([upright], "cpu").png is None
    found = reflections([upright, mirrored], "cpu")
    assert "all but reflections 92.50 %" in found.text
    assert found.text.endswith("of their 10 test images that is recognised: B (90% → 40%), C (80% → 70%).")
    (one,) = confusions([signs("asl_10", "ODENet", [1.0] * 10)], "cpu")
    assert one[:2] == ("asl_10-odenet", "ASL alphabet, first 10 classes: ODENet")
    assert one[2].startswith(b"\x89PNG")
