"""The container's health check: exit 0 if the front answers. No imports beyond sockets: it runs every few
seconds."""

import socket
import sys


def healthy() -> bool:
    with socket.create_connection(("127.0.0.1", 8080), 1.5) as front:
        front.settimeout(1.5)
        front.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return front.recv(64).startswith(b"HTTP/1.1 200")


if __name__ == "__main__":
    sys.exit(0 if healthy() else 1)
