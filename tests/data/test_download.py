"""Files from the network: whole and checked, or not there; never more bytes than they have."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import threading
import types

import pytest
import requests
from files import write_idx_set

from jaxode.data import SPECS, DataError, download, locks, original_files
from jaxode.data.full import load_full
from jaxode.data.readers import Unavailable


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "cache"))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; of some paths an endless body or a redirect instead."""

    endless: str | None = None
    redirect: str | None = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        if Handler.redirect:
            self.send_response(302)
            self.send_header("Location", Handler.redirect)
            self.end_headers()
        elif Handler.endless and self.path.endswith(Handler.endless):
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(65536))
            except OSError:
                pass
        else:
            super().do_GET()


@pytest.fixture
def server(tmp_path):
    """The address of a folder served on the loopback interface, and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/", folder
        httpd.shutdown()


def images(spec, root):
    return load_full(spec, root, progress=False)["train"][0]


def test_missing_files_are_fetched_and_checked(tmp_path, server):
    url, folder = server
    spec = write_idx_set(folder, url=url)
    root = tmp_path / "fresh"
    assert len(images(spec, root)) == 30
    assert sorted(p.name for p in (root / "mnist").iterdir()) == sorted(f.name for f in spec.files)


@pytest.mark.parametrize("place", ["", "mnist"])
def test_a_download_that_broke_off_is_repeated(tmp_path, server, place):
    url, folder = server
    spec = write_idx_set(folder, url=url)
    root = tmp_path / "broken-off"
    (root / place).mkdir(parents=True)
    original = root / place / spec.files[0].name
    original.write_bytes((folder / original.name).read_bytes())
    (folder / original.name).unlink()  # so that fetching it again would fail
    killed = root / place / f"{locks.LEFTOVER}x"
    killed.mkdir()
    (killed / "tmpabc").write_bytes(b"half")
    assert len(images(spec, root)) == 30
    assert all((root / place / file.name).is_file() for file in spec.files)
    assert not killed.exists()


def test_a_wrong_file_from_the_network_leaves_nothing_behind(tmp_path, server):
    url, folder = server
    spec = write_idx_set(folder, url=url)
    (folder / spec.files[0].name).write_bytes(b"not what was asked for")
    root = tmp_path / "fresh"
    with pytest.raises(DataError, match="checksum is not sha256:"):
        images(spec, root)
    assert list((root / "mnist").iterdir()) == []


@pytest.mark.parametrize("published", [True, False])
def test_an_endless_body_is_cut_off(tmp_path, server, monkeypatch, published):
    url, folder = server
    spec = write_idx_set(folder, url=url)
    name = spec.files[0].name
    monkeypatch.setattr(Handler, "endless", name)
    monkeypatch.setattr(original_files, "MOST_BYTES", 2**20)
    if not published:
        without = dataclasses.replace(spec.train_files[0], size=None)
        spec = dataclasses.replace(spec, train_files=(without, spec.train_files[1]))
    with pytest.raises(DataError, match=f"{name} must send .*bytes, and sends more"):
        images(spec, tmp_path / "fresh")
    assert list((tmp_path / "fresh" / "mnist").iterdir()) == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://["])
def test_no_redirect_to_another_scheme_is_followed(tmp_path, server, monkeypatch, target):
    url, folder = server
    spec = write_idx_set(folder, url=url)
    monkeypatch.setattr(Handler, "redirect", target)
    with pytest.raises(Unavailable, match=r"cannot be reached \(Invalid(Schema|URL)\)"):
        images(spec, tmp_path / "fresh")


@pytest.mark.parametrize(
    ("here", "there", "followed"),
    [
        ("https", "http://b/", False),
        ("https", "/c", True),
        ("http", "https://b/", True),
        ("https", "HTTPS://b/", True),
    ],
)
def test_a_redirect_may_not_give_up_encryption(here, there, followed):
    headers = {"location": there}
    response = types.SimpleNamespace(is_redirect=True, url=f"{here}://a/", headers=headers)
    if followed:
        download._same_scheme(response)
    else:
        with pytest.raises(requests.exceptions.InvalidSchema):
            download._same_scheme(response)


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path):
    spec = write_idx_set(tmp_path / "elsewhere", url="http://127.0.0.1:9/")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be stored"):
        images(spec, tmp_path / "file" / "cache")


def test_no_network_and_no_files_is_unavailable(tmp_path):
    spec = write_idx_set(tmp_path / "elsewhere", url="http://127.0.0.1:9/")
    with pytest.raises(Unavailable, match=r"there is no train-images.*cannot be reached"):
        images(spec, tmp_path / "empty")


def test_an_archive_that_was_unpacked_is_fetched_all_the_same(tmp_path, monkeypatch):
    """Only packed archives are used, so cifar-10-binary.tar stands for none."""
    spec = SPECS["cifar10"]
    (tmp_path / spec.name).mkdir()
    (tmp_path / spec.name / "cifar-10-binary.tar").write_bytes(b"")
    asked = []
    monkeypatch.setattr(
        download, "_download", lambda file, folder, progress: asked.append(file.name)
    )
    with pytest.raises(download.Unreachable, match=r"cifar-10-binary\.tar\.gz"):
        download.fetch(spec, tmp_path, progress=False)
    assert asked == ["cifar-10-binary.tar.gz"]
