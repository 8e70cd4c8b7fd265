"""Tables of detection and depth: runs become records with pictures, seeds are one line."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from scripts import system_tables
from scripts.systems.documents import BEGIN, END, own_part
from scripts.systems.pictures import WIDTH
from scripts.systems.records import FOLDERS, SystemRecord, of_run, read
from scripts.systems.rows import DEPTH, DETECTION
from scripts.systems.tables import section

SHARED = {
    "status": "complete",
    "best_epoch": 1,
    "parameters": 1090544,
    "epochs": 2,
    "train_seconds_per_epoch": 90.0,
    "eval_seconds_per_epoch": 10.4,
    "device": "cpu: A",
    "cores": 2,
    "versions": {"jax": "0.10.2"},
    "commit": "0123456789abcdef",
    "date": "2026-11-28",
}
CLASSES = {"RBC": {"ap50": 0.8}, "WBC": {"ap50": 0.99}}


def detection(backbone="odenet", seed=0, ap50=0.85, **classes):
    experiment = {"command": "python -m experiments.detection", "data": "bccd", "seed": seed}
    scores = {"ap50": ap50, "ap": 0.5, "precision": 0.7, "recall": 0.8, "f1": 0.75}
    found = {**scores, "threshold": 0.61, "classes": CLASSES | classes}
    result = {**SHARED, "model": "jaxode.models.detector.Detector", "detection": found}
    return SystemRecord("detection", {**experiment, "backbone": backbone}, result)


def depth(encoder="vgg16", rel=0.3051):
    experiment = {"command": "python -m experiments.depth", "data": "nyuv2", "seed": 0}
    errors = {"rel": rel, "rms": 1.02, "log10": 0.12, "delta1": 0.5, "delta2": 0.8, "delta3": 0.9}
    result = {f"test_{name}": value for name, value in errors.items()} | SHARED
    result["model"] = "jaxode.models.depth.DepthNet"
    return SystemRecord("depth", {**experiment, "encoder": encoder, "vgg_width": 0.25}, result)


def run_of(record, directory, pictures):
    """A run's directory, with large pictures."""
    directory.mkdir()
    command = f"{record.experiment['command']} --data-dir /home/me/data --out /tmp/x --resume"
    experiment = {**record.experiment, "data_dir": "/home/me/data", "command": command}
    (directory / "experiment.json").write_text(json.dumps(experiment))
    (directory / "result.json").write_text(json.dumps(record.result))
    (directory / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    noise = np.random.default_rng(0).integers(0, 255, (300, 1500, 3), np.uint8)
    for name in pictures:
        Image.fromarray(noise).save(directory / f"{name}.png")
    return directory


def test_runs_become_records_tables_and_small_pictures(tmp_path):
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "README.md").write_text(f"{BEGIN}\n{END}\n")
    runs = [
        run_of(detection(), tmp_path / "a", ("best", "missed", "curves")),
        run_of(depth(), tmp_path / "b", ("worst",)),
    ]
    assert system_tables.main([*map(str, runs), "--root", str(tmp_path)]) == 0
    place = tmp_path / FOLDERS["detection"]
    (kept,) = read(place / "records")
    assert (kept.system, kept.name, kept.last) == ("detection", "bccd_odenet", {"epoch": 2})
    assert kept.experiment["command"] == "python -m experiments.detection --data-dir DIR"
    names = ("bccd_odenet_best.jpg", "bccd_odenet_missed.jpg")
    assert sorted(path.name for path in (place / "pictures").iterdir()) == list(names)
    with Image.open(place / "pictures" / names[0]) as picture:
        assert picture.size == (WIDTH, 200)
    text = (place / "README.md").read_text(encoding="utf-8")
    assert f"missed objects](pictures/{names[1]})" in text
    assert "| 0.850 | 0.500 | 0.700 | 0.800 | 0.750 | 0.61 | 1,090,544 | 2 | 100 | `python" in text
    text = (tmp_path / FOLDERS["depth"] / "README.md").read_text(encoding="utf-8")
    assert "| 0.305 | 1.020 | 0.120 | 0.500 | 0.800 | 0.900 | 0.158 (Eigen" in text
    assert "(pictures/nyuv2_vgg16_worst.jpg)" in text
    (place / "pictures" / names[1]).unlink()
    assert names[1] not in own_part("detection", tmp_path)


def test_seeds_are_one_line_with_a_spread_and_classes_are_listed():
    text = section(DETECTION, [detection(), detection(seed=1, ap50=0.89)])
    assert "| 0.870 ± 0.028, 2 seeds |" in text
    assert "| 0.800 ± 0.000, 2 seeds | 0.990 ± 0.000, 2 seeds |" in text
    assert text.count("not yet run") == 3
    without = detection(WBC={"ap50": None})
    assert "| 0.800 | – |" in section(DETECTION, [without])


def test_a_record_of_no_row_is_named():
    other = dataclasses.replace(depth(), experiment={**depth().experiment, "data": "/x/kitchens"})
    assert "Records of no row: kitchens_vgg16." in section(DEPTH, [other])
    helmets = detection()
    experiment = {**helmets.experiment, "data": "voc"}
    text = section(DETECTION, [dataclasses.replace(helmets, experiment=experiment)])
    assert "Records of no row: voc_odenet." in text


def test_damaged_pictures_and_experiments_end_in_one_line(tmp_path, capsys):
    run = run_of(detection(), tmp_path / "a", ())
    (run / "best.png").write_bytes(b"no picture")
    assert system_tables.main([str(run), "--root", str(tmp_path)]) == 2
    assert "cannot identify image file" in capsys.readouterr().err
    (run / "experiment.json").write_text("{}")
    with pytest.raises(Exception, match="has none of target, backbone, vgg_width, data"):
        of_run(run)
