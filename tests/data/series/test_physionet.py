"""PhysioNet's records: rounded times, averages, scaling, and how a malformed line is answered."""

import io
import tarfile

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.data.series import random_split, read_physionet
from jaxode.data.series.physionet_records import PARAMETERS, parse_record
from jaxode.data.series.record_files import record_files

HEADER = "Time,Parameter,Value\n"

ONE = "00:00,RecordID,7\n00:00,Age,54\n00:00,Height,-1\n00:02,HR,70\n01:02,HR,80\n01:03,HR,90\n"
"""At 0.1 h, 00:02 is 0, 01:02 and 01:03 are 1, and 47:58 below is 48."""

OTHER = "00:00,RecordID,12\n00:00,Age,27\n24:00,HR,100\n47:58,HR,60\n"


def set_a(folder, records=None, outcomes="7,1\n12,0\n"):
    records = {7: ONE, 12: OTHER} if records is None else records
    (folder / "set-a").mkdir(exist_ok=True)
    for number, text in records.items():
        (folder / "set-a" / f"{number}.txt").write_text(HEADER + text)
    (folder / "Outcomes-a.txt").write_text("RecordID,In-hospital_death\n" + outcomes)
    return folder


def test_times_are_rounded_and_what_falls_together_is_averaged(tmp_path):
    series = read_physionet(set_a(tmp_path), scaling="none")
    assert series.channels == PARAMETERS
    assert len(PARAMETERS) == 41
    assert series.record_names == ("7", "12")
    assert series.labels.tolist() == [1, 0]
    assert series.times.tolist() == [[0, 1, 1], [0, 24, 48]]
    rate = PARAMETERS.index("HR")
    assert series.values[..., rate].tolist() == [[70, 85, 0], [0, 100, 60]]
    assert series.mask[..., rate].tolist() == [[True, True, False], [False, True, True]]
    assert series.values[0, 0, PARAMETERS.index("Height")] == -1  # as in the source
    assert series.mask.sum() == 7
    minutes = read_physionet(tmp_path, scaling="none", quantisation=1 / 60)
    np.testing.assert_allclose(minutes.times[0], [0, 2 / 60, 62 / 60, 63 / 60], rtol=1e-6)
    unit = read_physionet(tmp_path, scaling="none", unit_time=True)
    assert unit.times[1].tolist() == [0, 0.5, 1]


def test_a_record_starts_at_0_though_nothing_is_measured_there(tmp_path):
    series = read_physionet(
        set_a(tmp_path, {7: "00:00,RecordID,7\n02:00,HR,5\n", 12: "00:00,RecordID,12\n"})
    )
    assert series.times.tolist() == [[0, 2], [0, 0]]
    assert series.lengths.tolist() == [2, 1]
    assert series.mask.any(2).tolist() == [[False, True], [False, False]]


def test_scaling_is_over_all_records(tmp_path):
    set_a(tmp_path)
    age, height, rate = (PARAMETERS.index(name) for name in ("Age", "Height", "HR"))
    published = read_physionet(tmp_path).values
    assert published[:, 0, age].tolist() == [0.5, 0]  # (54 - 27) / 54
    np.testing.assert_allclose(published[..., rate], [[0.1, 0.25, 0], [0, 0.4, 0]], rtol=1e-6)
    assert published[0, 0, height] == 0
    ranged = read_physionet(tmp_path, scaling="range").values
    np.testing.assert_allclose(ranged[..., rate], [[0.25, 0.625, 0], [0, 1, 0]])


def test_an_archive_is_read_as_the_folder(tmp_path):
    series = read_physionet(set_a(tmp_path))
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "set-a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "set-a", "set-a")
    (packed / "Outcomes-a.txt").write_bytes((tmp_path / "Outcomes-a.txt").read_bytes())
    again = read_physionet(packed)
    np.testing.assert_array_equal(again.values, series.values)
    np.testing.assert_array_equal(again.times, series.times)


def test_several_sets_are_scaled_together(tmp_path):
    set_a(tmp_path)
    (tmp_path / "set-b").mkdir()
    (tmp_path / "set-b" / "20.txt").write_text(HEADER + "00:00,RecordID,20\n00:00,Age,108\n")
    (tmp_path / "Outcomes-b.txt").write_text("RecordID,In-hospital_death\n20,1\n")
    series = read_physionet(tmp_path, "ab")
    assert series.record_names == ("7", "12", "20")
    np.testing.assert_allclose(series.values[:, 0, 0], [0.25, 0, 0.75])
    (tmp_path / "set-b" / "7.txt").write_text(HEADER + ONE)
    with pytest.raises(DataError, match="set-b holds record 7, as another set does"):
        read_physionet(tmp_path, "ab")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("01:00,HR", "must be Time,Parameter,Value, got '01:00,HR'"),
        ("01:00,HR,80,", "must be Time,Parameter,Value"),
        ("garbage", "must be Time,Parameter,Value"),
        ("1:00,HR,80", "the time must be from 00:00 to 48:00, got '1:00'"),
        ("48:01,HR,80", "the time must be"),
        ("00:60,HR,80", "the time must be"),
        ("00:01,HR,80", "times must not fall, got 00:01 after 01:03"),
        ("01:04,Hr,80", "unknown parameter 'Hr': did you mean HR?"),
        ("01:04,HR,high", "the value must be a finite number, got 'high'"),
        ("01:04,HR,", "the value must be a finite number, got ''"),
        ("01:04,HR,nan", "the value must be a finite number, got 'nan'"),
        ("01:04,HR,1e999", "the value must be a finite number, got '1e999'"),
        ("01:04,HR,1_0", "the value must be a finite number, got '1_0'"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_number(tmp_path, line, message):
    set_a(tmp_path, {7: ONE + line + "\n01:05,HR,80\n", 12: OTHER})
    with pytest.raises(DataError) as caught:
        read_physionet(tmp_path)
    assert f"set-a, 7.txt, line 8: {message}" in str(caught.value).replace(str(tmp_path), "")


def test_other_files_are_no_records():
    with pytest.raises(DataError, match="x, line 1: must be Time,Parameter,Value, got 'Time'"):
        parse_record(b"Time\n", 7, "x")
    with pytest.raises(DataError, match="x, line 3: must be ASCII"):
        parse_record((HEADER + "00:00,RecordID,7\n").encode() + b"\xff\n", 7, "x")
    with pytest.raises(DataError, match="must be of record 8, and names another"):
        parse_record((HEADER + ONE).encode(), 8, "x")
    assert len(parse_record((HEADER + ONE).replace("\n", "\r\n").encode(), 7, "x").minutes) == 5


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ("7,1\n", "no outcome of record 12"),
        ("7,1\n12,2\n", "line 3: In-hospital_death must be 0 or 1, got 2"),
        ("7,1\n12,x\n", "line 3: must be 2 whole numbers"),
        ("7,1\n12\n", "line 3: must be 2 whole numbers"),
        ("7,1\n7,1\n", "line 3: record 7 is there twice"),
    ],
)
def test_wrong_outcomes_are_named(tmp_path, outcomes, message):
    with pytest.raises(DataError, match=rf"Outcomes-a\.txt.*{message}"):
        read_physionet(set_a(tmp_path, outcomes=outcomes))


def test_missing_files_and_wrong_settings_are_answered(tmp_path):
    with pytest.raises(ConfigError, match=r"must hold set-a\.tar\.xz"):
        read_physionet(tmp_path)
    set_a(tmp_path)
    for keywords, message in [
        ({"sets": "x"}, "sets must be"),
        ({"sets": "aa"}, "sets must be"),
        ({"sets": ""}, "sets must be"),
        ({"quantisation": 0.0}, "quantisation must be"),
        ({"scaling": "unit"}, "scaling must be one of published, range, none"),
    ]:
        with pytest.raises(ConfigError, match=message):
            read_physionet(tmp_path, **keywords)
    (tmp_path / "Outcomes-a.txt").write_text("RecordID,Death\n")
    with pytest.raises(DataError, match="line 1: must name the columns"):
        read_physionet(tmp_path)
    (tmp_path / "Outcomes-a.txt").unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*Outcomes-a\.txt"):
        read_physionet(tmp_path)


def by_the_source(content, quantisation):
    """A record as Rubanova et al.'s `physionet.py` reads it: line after line, running means."""
    times, rows = [0.0], [{}]
    for line in io.StringIO(content.decode()).readlines()[1:]:
        clock, parameter, value = line.split(",")
        hours, minutes = clock.split(":")
        time = round((float(hours) + float(minutes) / 60.0) / quantisation) * quantisation
        if time != times[-1]:
            times.append(time)
            rows.append({})
        if parameter != "RecordID":
            count, mean = rows[-1].get(parameter, (0, 0.0))
            rows[-1][parameter] = count + 1, (mean * count + float(value)) / (count + 1)
    return times, rows


@pytest.fixture(scope="module")
def real_set(real_data):
    return read_physionet(real_data / "physionet2012", scaling="none")


def test_real_records_are_as_the_source_reads_them(real_data, real_set):
    contents = record_files(real_data / "physionet2012" / "set-a.tar.xz")
    for row in range(0, 4000, 40):
        times, rows = by_the_source(contents[int(real_set.record_names[row])], 0.1)
        length = real_set.lengths[row]
        np.testing.assert_array_equal(real_set.times[row, :length], np.array(times, np.float32))
        mask, values = real_set.mask[row], real_set.values[row]
        assert [set(found) for found in rows] == [
            {PARAMETERS[k] for k in np.flatnonzero(point)} for point in mask[:length]
        ]
        for point, found in enumerate(rows):
            for name, (_, mean) in found.items():
                assert values[point, PARAMETERS.index(name)] == pytest.approx(mean, rel=1e-6)


def test_the_real_set_has_its_published_counts_and_split(real_set):
    assert real_set.values.shape == (4000, real_set.lengths.max(), 41)
    assert real_set.labels.sum() == 554
    assert real_set.times.max() == 48
    train, test, _ = random_split(real_set)
    assert (len(train), len(test)) == (3200, 800)
    names = train_test_split(list(real_set.record_names), train_size=0.8, random_state=42)[1]
    assert list(test.record_names) == names
    assert real_set.observed_statistics().minimum[PARAMETERS.index("Gender")] == -1
