"""The health check of a worker's container: the age of its file, or without one a connection to the server."""

import os
import socket
import subprocess
import time
from pathlib import Path


def healthy(file: Path, **environment: str) -> bool:
    done = subprocess.run(
        ["healthcheck"],
        env={**os.environ, "HEALTH_FILE": str(file), **environment},
        capture_output=True,
        check=False,
        timeout=5,
    )
    return done.returncode == 0


def test_a_file_younger_than_ten_seconds_is_well(tmp_path: Path) -> None:
    file = tmp_path / "healthy"
    file.touch()
    assert healthy(file)
    for age in (11.0, time.time()):
        then = time.time() - age
        os.utime(file, (then, then))
        assert not healthy(file)


def test_without_a_file_a_connection_to_the_server_is_well(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert not healthy(tmp_path / "none", RESONATE_URL=url), "nobody is connected yet"
        with socket.create_connection(server.getsockname()):
            assert healthy(tmp_path / "none", RESONATE_URL=url)
            assert healthy(tmp_path / "none", RESONATE_URL=url + "/")
            assert not healthy(tmp_path / "none", RESONATE_URL="http://127.0.0.1:9")


def test_a_file_that_is_too_old_counts_more_than_a_connection(tmp_path: Path) -> None:
    file = tmp_path / "healthy"
    file.touch()
    os.utime(file, (0, 0))
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert not healthy(file, RESONATE_URL=f"http://127.0.0.1:{server.getsockname()[1]}")


def test_a_connection_from_an_ipv6_socket_counts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6) as client:
        port = server.getsockname()[1]
        # In a container without IPv6 such a socket still reaches IPv4 addresses, and is listed among the IPv6 ones.
        client.connect(("::ffff:127.0.0.1", port))
        assert healthy(tmp_path / "none", RESONATE_URL=f"http://server:{port}")
