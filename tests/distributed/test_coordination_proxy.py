"""The proxy between JAX's client in one process and its service in another."""

import os
import socket
import time

import pytest

from jaxode.distributed import coordination_proxy as module
from jaxode.distributed.coordination_proxy import CoordinationProxy


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return server, client


def unix(path, *, listen=False):
    found = socket.socket(socket.AF_UNIX)
    found.settimeout(10)
    if listen:
        found.bind(str(path))
        found.listen(1)
    else:
        found.connect(str(path))
    return found


def test_bytes_go_both_ways_and_the_end_of_process_0_does_not_reach_the_client():
    server, client = tcp_pair()
    deadline = time.monotonic() + 10
    with (
        CoordinationProxy(0, {1: (server, b"")}, deadline) as there,
        CoordinationProxy(1, {0: (client, b"")}, deadline) as here,
    ):
        assert there.directory.stat().st_mode & 0o777 == 0o700
        service = unix(there.path, listen=True)  # later than the proxy, as JAX's is
        jax = unix(here.path)
        end, _ = service.accept()
    assert not there.directory.exists()
    assert not here.directory.exists()
    data = os.urandom(300_000)
    with service, end, jax:
        for one, other in ((jax, end), (end, jax)):
            one.sendall(data)
            other.settimeout(10)
            assert b"".join(iter(lambda o=other, n=[0]: _some(o, n, len(data)), b"")) == data
        end.close()
        for connection in there.open:
            connection.close()
        jax.settimeout(0.3)
        with pytest.raises(TimeoutError):  # not the end of the connection
            jax.recv(1)
    for connection in here.open:
        connection.close()


def _some(connection, count, total):
    part = connection.recv(min(65536, total - count[0])) if count[0] < total else b""
    count[0] += len(part)
    return part


def test_the_socket_s_path_is_short_enough(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(module.tempfile, "tempdir", str(deep))
    found = module.private_directory()
    assert len(bytes(found)) <= module.LONGEST_PATH
    found.rmdir()
    assert list(deep.iterdir()) == []
