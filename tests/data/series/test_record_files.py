"""Text records in folders and archives, hostile ones among them."""

import gzip
import io
import lzma
import os
import tarfile

import pytest

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.data.series import record_files as module
from jaxode.data.series.record_files import record_files


def member(name, content=b"text", kind=tarfile.REGTYPE, size=None):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content) if size is None else size
    info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return info, content


def tar(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return stream.getvalue()


GOOD = [member("set-a/", kind=tarfile.DIRTYPE), member("set-a/10.txt"), member("set-a/9.txt", b"9")]


@pytest.mark.parametrize(
    ("name", "pack"),
    [("s.tar", bytes), ("s.tar.gz", gzip.compress), ("s.tar.xz", lzma.compress)],
)
def test_an_archive_of_any_packing_is_read_in_the_order_of_numbers(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(tar(*GOOD, member("set-a/._9.txt"), member("set-a/notes.md"))))
    assert list(record_files(path).items()) == [(9, b"9"), (10, b"text")]


def test_an_archive_of_several_xz_streams_is_whole(tmp_path):
    whole = tar(*GOOD)
    (tmp_path / "s").write_bytes(lzma.compress(whole[:700]) + lzma.compress(whole[700:]))
    assert list(record_files(tmp_path / "s")) == [9, 10]


def test_a_folder_of_records(tmp_path):
    for name in ("10.txt", "9.txt", "Outcomes-a.txt", "9.md"):
        (tmp_path / name).write_text(name)
    assert list(record_files(tmp_path).items()) == [(9, b"9.txt"), (10, b"10.txt")]


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (member("set-a/1.txt", kind=tarfile.SYMTYPE), "set-a/1.txt must be a file"),
        (member("set-a/1.txt", kind=tarfile.LNKTYPE), "set-a/1.txt must be a file"),
        (member("set-a/1.txt", kind=tarfile.FIFOTYPE), "must be a file"),
        (member("set-a/1.txt", kind=tarfile.CHRTYPE), "must be a file"),
        (member("../1.txt"), "leads out of the archive"),
        (member("/tmp/1.txt"), "leads out of the archive"),
        (member("set-a/1.txt", bytes(2**20 + 1)), "more than 1048576"),
        (member("set-a/huge.bin", bytes(2**20 + 1)), "more than 1048576"),
        (member("other/9.txt"), "holds record 9 twice"),
    ],
)
def test_a_hostile_member_is_refused(tmp_path, hostile, message):
    path = tmp_path / "s.tar.gz"
    path.write_bytes(gzip.compress(tar(*GOOD, hostile)))
    with pytest.raises(DataError, match=rf"s\.tar\.gz.*{message}"):
        record_files(path)
    assert sorted(os.listdir(tmp_path)) == ["s.tar.gz"]


def test_damaged_archives_are_named(tmp_path):
    path = tmp_path / "set"
    whole = tar(*GOOD)
    noise = bytes(range(256)) * 4
    for content, message in [
        (lzma.compress(whole)[:-20], "cannot be unpacked: it ends early"),
        (lzma.compress(whole)[:40] + noise, "cannot be unpacked"),
        (gzip.compress(whole)[:-20], "cannot be unpacked"),
        (whole[:1536], "no whole tar archive: it ends early"),
        (noise, "no whole tar"),
        (noise + bytes(1024), "no whole tar"),
        (tar(GOOD[0]), "holds no record"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            record_files(path)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bytes])
def test_sizes_are_bounded(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(module, "MOST_BYTES", 5000)
    (tmp_path / "s").write_bytes(pack(tar(*GOOD)))
    with pytest.raises((DataError, ConfigError), match="more than 5000"):
        record_files(tmp_path / "s")
    (tmp_path / "d").mkdir()
    for number in range(3):
        (tmp_path / "d" / f"{number}.txt").write_bytes(bytes(2000))
    with pytest.raises(DataError, match="more than 5000 bytes"):
        record_files(tmp_path / "d")


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "1.txt")
    with pytest.raises(ConfigError, match="cannot read"):
        record_files(tmp_path)
    with pytest.raises(ConfigError, match="cannot read"):
        record_files(tmp_path / "1.txt")
    with pytest.raises(ConfigError, match="cannot read"):
        record_files(tmp_path / "none")
