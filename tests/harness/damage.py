"""Damages a container's files on its volume, and tells whether its health check notices."""

from harness.engine import docker, inspect

FLIP = """
import pathlib, sys
path, offset = pathlib.Path(sys.argv[1]), int(sys.argv[2])
data = bytearray(path.read_bytes())
data[offset] ^= 16
path.write_bytes(data)
"""


#: An offset in the first page of a SQLite log, behind the headers of the log and of its first frame (32 and 24 bytes).
#: Data further behind may be left over from an older log.
FIRST_PAGE = 200


def flip_a_bit(container: str, path: str, offset: int = FIRST_PAGE) -> None:
    """Change one bit of a file in the volume of a stopped container."""
    found = inspect(container)
    (volume,) = [mount["Name"] for mount in found["Mounts"] if mount["Destination"] == "/data"]
    image = found["Config"]["Image"]
    docker(
        *("run", "--rm", "--network", "none", "--volume", f"{volume}:/data", "--entrypoint", "python"),
        *(image, "-c", FLIP, path, str(offset)),
    )


def unhealthy(container: str) -> bool:
    """Whether the container's health check fails now. `bin/backup` asks the same way."""
    kind, *check = inspect(container)["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    try:
        docker("exec", container, *check)
    except RuntimeError:
        return True
    return False
