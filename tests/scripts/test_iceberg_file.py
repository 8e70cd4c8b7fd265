"""The made-up file of the iceberg challenge: its format, that it says what it is, and that it is
whole or not there.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from jaxode.data.radar_json import read_radar_json
from scripts import iceberg_file


def test_a_file_in_the_real_format_is_written_and_says_that_it_is_made_up(tmp_path, capsys):
    path = tmp_path / "new" / "train.json"
    assert iceberg_file.main(["--out", str(path), "--rows", "40", "--seed", "3"]) == 0
    captured = capsys.readouterr()
    assert "40 rows" in captured.out
    assert "made up" in captured.err
    assert "measures nothing" in captured.err
    images, labels = read_radar_json(path)
    assert labels.sum() == round(40 * 753 / 1604)
    unknown = np.isnan(images[:, 0, 0, 2])
    assert unknown.sum() == round(40 * 0.083)
    assert np.all((images[~unknown, 0, 0, 2] >= 30) & (images[~unknown, 0, 0, 2] <= 46))
    for plane, sea in ((0, -22), (1, -28)):
        assert abs(np.median(images[..., plane]) - sea) < 2
        assert images[:, 30:45, 30:45, plane].mean() > sea + 5
    lost = (images[:, 30:45, 30:45, 0] - images[:, 30:45, 30:45, 1]).mean((1, 2))
    assert lost[labels == 1].mean() < lost[labels == 0].mean() - 1
    stored = json.loads(path.read_text())
    assert list(stored[0]) == ["id", "band_1", "band_2", "inc_angle", "is_iceberg"]
    assert all(each["id"].startswith("made-up-") for each in stored)


def test_the_same_seed_gives_the_same_file(tmp_path):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        iceberg_file.write(tmp_path / name, 3, seed)
    one, again, other = ((tmp_path / name).read_bytes() for name in ("one", "again", "other"))
    assert one == again != other


def test_help_says_that_it_measures_nothing(capsys):
    assert iceberg_file.main(["--help"]) == 0
    assert "measures nothing" in capsys.readouterr().out


def test_a_file_that_is_there_is_left_alone(tmp_path, capsys):
    path = tmp_path / "train.json"
    path.write_text("the real one")
    assert iceberg_file.main(["--out", str(path), "--rows", "2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert path.read_text() == "the real one"


def test_a_symlink_is_not_followed(tmp_path, capsys):
    path, victim = tmp_path / "train.json", tmp_path / "victim"
    (tmp_path / ".train.json.unfinished").symlink_to(victim)
    path.symlink_to(victim)
    assert iceberg_file.main(["--out", str(path), "--rows", "2"]) == 2
    assert "a path where nothing is yet" in capsys.readouterr().err
    path.unlink()
    assert iceberg_file.main(["--out", str(path), "--rows", "2"]) == 0
    assert not victim.exists()


@pytest.mark.parametrize("flags", [["--rows", "0"], ["--seed", "-1"]])
def test_a_wrong_number_is_one_line_and_code_2(flags, tmp_path, capsys):
    assert iceberg_file.main(["--out", str(tmp_path / "train.json"), *flags]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{flags[0]} must be" in err


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    def rows(count, seed):
        yield "{}"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(iceberg_file, "rows", rows)
    assert iceberg_file.main(["--out", str(tmp_path / "train.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
