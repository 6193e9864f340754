"""RIE starts this; it becomes the function's process.

Usage: launch.py SOCKET     (an abstract Unix socket of the supervisor) It asks the supervisor for the
function's environment variables and for the pipe that is its log, takes its place in a process group of its
own, and replaces itself by the managed runtime's bootstrap. Standard library only, no site: it runs at
every cold start.
"""

import json
import os
import socket
import sys


def main() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as supervisor:
        supervisor.connect("\0" + sys.argv[1])
        message, (log, *_), _, _ = socket.recv_fds(supervisor, 1 << 20, 1)
        while chunk := supervisor.recv(1 << 20):
            message += chunk
    environment: dict[str, str] = json.loads(message)
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    # If memory runs out, the kernel must kill the function, not the supervisor.
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib costs milliseconds
        file.write("1000")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(environment["LAMBDA_TASK_ROOT"])
    python = os.path.realpath(sys.executable)
    command = [python, "/var/runtime/bootstrap.py", environment["_HANDLER"]]
    # https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper
    if wrapper := environment.get("AWS_LAMBDA_EXEC_WRAPPER"):
        command.insert(0, wrapper)
    try:
        os.execve(command[0], command, environment)  # noqa: S606
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main()
