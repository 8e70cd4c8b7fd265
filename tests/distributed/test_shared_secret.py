"""The secret of a run: from the environment, or by a file that is nobody else's."""

import os

import pytest

from jaxode.checks import ConfigError
from jaxode.distributed.membership import Membership
from jaxode.distributed.shared_secret import (
    SecretFile,
    default_path,
    from_environment,
    shared_secret,
)
from jaxode.errors import RunFailed

MEMBER = Membership("node0", 5000, 1, 2, "slurm-7-0")


def test_process_0_passes_its_secret_in_a_private_file_and_removes_it(tmp_path):
    path = tmp_path / "new" / "secret"
    first, other = SecretFile(path, make_directory=True), SecretFile(path)
    assert other.read() is None
    secret = first.publish()
    assert len(secret) == 32
    assert other.read() == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    first.withdraw()
    assert list(path.parent.iterdir()) == []


def test_the_file_of_a_run_that_was_killed_is_replaced_and_a_later_run_s_is_left(tmp_path):
    killed, later = SecretFile(tmp_path / "secret"), SecretFile(tmp_path / "secret")
    old, new = killed.publish(), later.publish()
    assert old != new
    killed.withdraw()
    assert later.read() == new


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path, mode):
    file = SecretFile(tmp_path / "secret")
    file.publish()
    file.path.chmod(mode)
    with pytest.raises(ConfigError, match="by other users: its mode must be 0600"):
        file.read()


def test_a_file_of_another_user_is_refused(tmp_path, monkeypatch):
    file = SecretFile(tmp_path / "secret")
    file.publish()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        file.read()


def test_nothing_but_a_secret_is_replaced(tmp_path):
    for name in ("text", "folder", "link", "pipe"):
        path = tmp_path / name
        if name == "text":
            path.write_text("dear diary")
            path.chmod(0o600)
        elif name == "folder":
            path.mkdir()
        elif name == "link":
            path.symlink_to(tmp_path / "text")
        else:
            os.mkfifo(path)
        with pytest.raises(ConfigError, match="is no secret of an earlier run"):
            SecretFile(path).publish()
    assert (tmp_path / "text").read_text() == "dear diary"
    assert len(list(tmp_path.iterdir())) == 4


def test_links_are_not_followed_and_half_a_secret_is_none(tmp_path):
    file = SecretFile(tmp_path / "secret")
    file.publish()
    (tmp_path / "link").symlink_to(file.path)
    with pytest.raises(ConfigError, match="cannot read the run's secret"):
        SecretFile(tmp_path / "link").read()
    file.path.write_bytes(file.path.read_bytes()[:40])
    assert file.read() is None


def test_where_nothing_can_be_written_a_line_says_what_to_do(tmp_path):
    with pytest.raises(
        RunFailed, match=r"cannot write the run's secret to .* No such file .* set JAXODE_SECRET"
    ):
        SecretFile(tmp_path / "none" / "secret").publish()


def test_the_environment_s_secret_is_long_enough_and_is_never_printed():
    assert from_environment({}) is None
    assert from_environment({"JAXODE_SECRET": "sixteen letters!"}) == b"sixteen letters!"
    for short in ("", "fifteen letters"):
        with pytest.raises(
            ConfigError, match=f"at least 16 characters, got {len(short)}$"
        ) as caught:
            from_environment({"JAXODE_SECRET": short})
        assert not short or short not in str(caught.value)


def test_each_run_has_a_file_of_its_own(tmp_path):
    cache = {"XDG_CACHE_HOME": str(tmp_path)}
    assert (
        default_path(MEMBER, cache) == tmp_path / "jaxode" / "rendezvous" / "node0-5000-slurm-7-0"
    )
    assert (
        default_path(Membership("localhost", 5000, 0, 2), cache).name
        == f"{os.uname().nodename}-localhost-5000"
    )
    assert default_path(Membership("a/../b", 5000, 0, 2), cache).name == "a_.._b-5000"
    assert ".cache" in default_path(MEMBER, {"XDG_CACHE_HOME": "relative"}).parts


def test_only_one_source_of_the_secret_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXODE_SECRET", raising=False)
    assert shared_secret(MEMBER, tmp_path / "secret").path == tmp_path / "secret"
    assert shared_secret(MEMBER, None).make_directory
    monkeypatch.setenv("JAXODE_SECRET", "sixteen letters!")
    given = shared_secret(MEMBER, None)
    assert given.publish() == given.read() == b"sixteen letters!"
    with pytest.raises(ConfigError, match="not by both"):
        shared_secret(MEMBER, tmp_path / "secret")
