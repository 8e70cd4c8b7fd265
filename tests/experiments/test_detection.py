"""Detection from the command line: a short run, its files, resume, wrong requests in one line."""

import json

import numpy as np
import pytest
from voc import small_set

from experiments import detection
from experiments.detections import data, pictures, training
from experiments.detections.config import DetectionConfig
from jaxode.cli import predict
from jaxode.models.detector_config import FILE, DetectorConfig
from jaxode.runs.predictions import PREDICTIONS

SMALL = ["--data=voc", "--rows=48", "--columns=64", "--width=8", "--hidden=8", "--anchors=12,20",
         "--batch-size=4", "--proposals=20", "--boxes=12", "--solver=euler",
         "--step-size=0.5"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_set(tmp_path_factory.mktemp("voc"), train=6, val=2, test=3)


def test_a_run_its_files_and_a_resume_with_the_same_bits(folder, tmp_path, capsys):
    flags = [*SMALL, "--data-dir", str(folder), "--backbone=odenet"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert detection.main([*flags, "--epochs=2", "--out", str(whole)]) == 0
    assert "test AP at overlap 0.5 " in capsys.readouterr().out
    files = {path.name for path in whole.iterdir()}
    assert {FILE, training.FACTS, "precision_recall.png", *pictures.FILES} <= files
    result = json.loads((whole / "result.json").read_text())
    assert set(result["detection"]["classes"]) == {"bar", "square"}
    assert DetectorConfig.from_json(json.loads((whole / FILE).read_text())).classes == 2
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert {"test_ap50", "test_f1", "test_objectness_loss"} <= set(lines[-1])

    predicts(folder, whole, tmp_path, capsys)

    assert stopped_after_an_epoch([*flags, "--epochs=2", "--out", str(parts)]) == 128 + 15
    capsys.readouterr()
    assert detection.main([*flags, "--epochs=2", "--out", str(parts), "--resume"]) == 0
    ends = [np.load(path / PREDICTIONS)["detections"] for path in (whole, parts)]
    np.testing.assert_array_equal(*ends)
    again = [*flags, "--epochs=2", "--out", str(parts), "--resume", "--hidden=9"]
    assert detection.main(again) == 2
    assert "hidden must be 8, as in" in capsys.readouterr().err


def predicts(folder, run, out, capsys):
    """The trained detector draws boxes on pictures."""
    picture, drawn, table = folder / "JPEGImages" / "test0.png", out / "drawn", out / "boxes.csv"
    flags = [str(run), str(picture), str(picture), "--boxes", str(drawn), "--csv", str(table)]
    assert predict.main([*flags, "--score=0.05", "--solver=rk4", "--step-size=0.5"]) == 0
    printed = capsys.readouterr().out.splitlines()
    rows = table.read_text().splitlines()
    assert rows[0] == "picture,class,score,xmin,ymin,xmax,ymax"
    assert len(printed) == len(rows) - 1 > 0
    assert {path.name for path in drawn.iterdir()} == {"test0.png", "test0-2.png"}
    assert predict.main([str(run), str(picture), "--top=2"]) == 2
    assert "top must be left out for a detector" in capsys.readouterr().err
    (run / training.FACTS).write_text('{"class_names": ["one"]}')
    assert predict.main([str(run), str(picture)]) == 2
    assert "class_names must be 2 texts" in capsys.readouterr().err


def stopped_after_an_epoch(flags):
    """The exit code of a run that a SIGTERM ends in its first epoch."""
    import signal

    from jaxode.train import fit

    class Ending:
        def on_epoch(self, *_):
            signal.raise_signal(signal.SIGTERM)

    def ending(*args, callbacks, **options):
        return fit(*args, callbacks=[*callbacks, Ending()], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "fit", ending)
        return detection.main(flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--data-dir must be given"),
        (["--data-dir=/nowhere"], "/nowhere must hold Annotations"),
        (["--rows=50"], "rows must be a multiple of 8"),
        (["--stem=quarter"], "stem must be"),
        (["--anchors=a"], "anchors must be 1 to 16 numbers"),
        (["--augment=mosaic"], "augment must be none, or of flip"),
    ],
)
def test_a_wrong_request_is_one_line(flags, message, tmp_path, capsys):
    assert detection.main([*flags, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_hostile_annotation_is_one_line(folder, tmp_path, capsys):
    hostile = small_set(tmp_path / "set", train=1, val=1, test=1)
    path = hostile / "Annotations" / "val0.xml"
    path.write_text(path.read_text().replace("<xmin>", "<xmin>x", 1))
    flags = [*SMALL, "--data-dir", str(hostile), "--out", str(tmp_path / "run")]
    assert detection.main(flags) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "val0.xml, object 1 (" in error


def test_validation_images_choose_the_epoch(folder):
    given = {"data": "voc", "data_dir": str(folder), "rows": 48, "columns": 64}
    held = data.problem(DetectionConfig(**given, hold_validation=True))
    assert held.task.monitor == "validation_ap50"
    assert {name: len(part["image"]) for name, part in held.dataset.splits.items()} == {
        "train": 6, "test": 3, "validation": 2,
    }  # fmt: skip
    assert data.problem(DetectionConfig(**given)).task.monitor == "test_ap50"


def test_pictures_of_the_best_the_worst_and_the_missed(folder, monkeypatch):
    images = data.problem(
        DetectionConfig(data="voc", data_dir=str(folder), rows=48, columns=64)
    ).splits.test
    found = np.zeros((len(images), 4, 6))
    found[..., 5] = -1
    real = images.classes[0] >= 0  # of the first image everything is found
    found[0, : real.sum(), :4] = images.boxes[0][real]
    found[0, : real.sum(), 4], found[0, : real.sum(), 5] = 0.9, images.classes[0][real]
    f1, missed = pictures.of_each_image(images, found, 2)
    assert (f1[0], missed[0]) == (1, 0)
    assert f1[1:].tolist() == [0, 0]
    assert missed[1:].tolist() == (images.classes[1:] >= 0).sum(1).tolist()
    drawn = {}
    monkeypatch.setattr(
        pictures, "draw_boxes", lambda shown, names, title: drawn.setdefault(title, shown)
    )
    assert set(pictures.drawn(images, found, ["bar", "square"], 0.5)) == set(pictures.FILES)
    best, worst, lacking = drawn.values()
    assert best[0].title.startswith("test0: F1 1.00")
    assert worst[-1].title == best[0].title
    assert lacking[-1].title == best[0].title
