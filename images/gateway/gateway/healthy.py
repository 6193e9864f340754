"""The container's health check: exit 0 if both doors listen and the Lambda API answers."""

import socket
import sys


def healthy() -> bool:
    with socket.create_connection(("127.0.0.1", 8080), 1.5):
        pass
    with socket.create_connection(("127.0.0.1", 9000), 1.5) as door:
        door.settimeout(1.5)
        door.sendall(b"GET /_local/health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return door.recv(64).startswith(b"HTTP/1.0 200")


if __name__ == "__main__":
    sys.exit(0 if healthy() else 1)
