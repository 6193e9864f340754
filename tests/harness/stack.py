"""A copy of the stack for tests, with its own compose project, free ports and volumes."""

import json
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3
import httpx
from botocore.config import Config
from testcontainers.compose import DockerCompose

from harness import application
from harness.engine import Networks, cut_off, docker, inspect, join
from harness.machine import ROOT, access_key, image_prefix, prepared_machine, secret

#: The stack's ports: variable, service, port in the container.
PORTS = {
    "API_PORT": ("gateway", 8080),
    "LAMBDA_PORT": ("gateway", 9000),
    "RESONATE_PORT": ("server", 8001),
    "RESONATE_METRICS_PORT": ("server", 9090),
    "S3_PORT": ("localstack", 4566),
}
#: The services that a job passes through, in the order of a request.
SERVICES = ("gateway", "lambda", "server", "worker", "localstack")


def free_ports(count: int) -> list[int]:
    """Free ports; not 0, because Docker would choose another port at every restart."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


class Compose(DockerCompose):
    """`DockerCompose` under a project name and environment files of its own."""

    def __init__(
        self, project: str, files: Sequence[str], env_files: Sequence[str], services: Sequence[str]
    ) -> None:
        self._project = project
        super().__init__(
            context=str(ROOT),
            compose_file_name=list(files),
            env_file=list(env_files),
            services=list(services) or None,
            wait=True,
        )

    @property
    def compose_command_property(self) -> list[str]:
        command: list[str] = list(DockerCompose.compose_command_property.func(self))  # type: ignore[attr-defined]
        return [*command[:2], "--project-name", self._project, *command[2:]]


class Stack:
    """One running copy of the stack.

    `env` overrides settings of .env.example. `app` is the folder of the application that it runs. `files` are compose
    files laid over the stack's and the application's (paths from the repository's root, or absolute). `services` starts
    only some, and what they depend on. `debug` has the server in debug mode, for harness/clock.py.
    """

    def __init__(
        self,
        project_prefix: str,
        env: Mapping[str, str] | None = None,
        files: Sequence[str] = (),
        services: Sequence[str] = (),
        debug: bool = False,
        app: str = application.DEFAULT,
    ) -> None:
        self._machine = prepared_machine()
        if debug:
            files = [*files, "tests/harness/debug.yaml"]
        self.project = f"{project_prefix}-itest-{secrets.token_hex(4)}"
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.settings = {name: str(port) for name, port in ports.items()}
        # As often as possible, because tests wait for a service to be healthy again.
        self.settings |= {
            "LAMBDA_FROM": application.LAMBDA_FROM,
            "HEALTH_CHECKS": "always",
            "STACK_IMAGES": image_prefix(),
        }
        self.settings |= dict(env or {}) | {"COMPOSE_PROJECT_NAME": self.project}
        #: The folder of the application that it runs.
        self.app = app
        own_files = ["compose.yaml", application.compose_file(app, self.settings["LAMBDA_FROM"])]
        if self.settings.get("AUTH") == "on":
            self.settings["RESONATE_AUTH__PUBLICKEY"] = "/run/secrets/resonate_public_key"
        self._folder = tempfile.TemporaryDirectory(prefix=self.project)
        own = Path(self._folder.name) / "settings.env"
        self.set()
        self._compose = Compose(self.project, [*own_files, *files], [str(own)], services)
        #: Disconnected containers, with the networks they were on.
        self._cut: dict[str, Networks] = {}
        self.api_url = f"http://127.0.0.1:{self.settings['API_PORT']}"
        self.lambda_url = f"http://127.0.0.1:{self.settings['LAMBDA_PORT']}"
        self.resonate_url = f"http://127.0.0.1:{self.settings['RESONATE_PORT']}"
        self.metrics_url = f"http://127.0.0.1:{self.settings['RESONATE_METRICS_PORT']}"
        self.s3_url = f"http://127.0.0.1:{self.settings['S3_PORT']}"

    # ------------------------------------------------------------ life

    def __enter__(self) -> Self:
        try:
            self._compose.start()
        except subprocess.CalledProcessError as error:
            report = f"{error.stderr.decode(errors='replace')[-2000:]}\n{self.report()}"
            self.remove()
            raise RuntimeError(f"the stack {self.project} did not start:\n{report}") from error
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Take it down with its volumes, in whatever state it is. Calling this twice does no harm."""
        if not Path(self._folder.name).exists():
            return
        # A paused container can neither be stopped nor removed.
        self.unpause_all()
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "2")
        self._folder.cleanup()

    def set(self, **settings: str) -> None:
        """Change settings; services that are started from now on use them."""
        self.settings |= settings
        own = Path(self._folder.name) / "settings.env"
        settings = self._machine | self.settings
        own.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def add_file(self, file: str) -> None:
        """Merge one more compose file over the others; services that are started from now on use it."""
        files = self._compose.compose_file_name
        assert isinstance(files, list)
        self._compose.compose_file_name = [*files, file]

    def configuration(self) -> dict[str, Any]:
        """The whole configuration that Compose makes of the files and settings."""
        found: dict[str, Any] = json.loads(self.compose("config", "--format", "json"))
        return found

    def compose(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """Run `docker compose ARGUMENT…` on this copy; its standard output."""
        done = subprocess.run(
            [*self._compose.compose_command_property, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            input=stdin,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"docker compose {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    # ------------------------------------------------------------ containers

    def containers(self, service: str | None = None) -> list[str]:
        """Ids of the containers, of all services or one; stopped ones included."""
        filters = ["--filter", f"label=com.docker.compose.project={self.project}"]
        if service:
            filters += ["--filter", f"label=com.docker.compose.service={service}"]
        return docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()

    def kill(self, service: str) -> None:
        """kill -9 every container of a service. It stays dead until `start`."""
        docker("kill", "--signal", "KILL", *self.containers(service))

    def start(self, *services: str) -> None:
        """Start stopped services and wait until they are healthy."""
        self.compose("up", "--detach", "--wait", "--no-recreate", "--no-deps", *services)

    def healthy(self, service: str) -> bool:
        """Whether every container of a service is healthy; after a pause, a container is unhealthy for a probe or two."""
        return all(
            inspect(container)["State"].get("Health", {}).get("Status") == "healthy"
            for container in self.containers(service)
        )

    def stop(self, *services: str) -> None:
        """Stop services as a deployment would: SIGTERM, then the grace period."""
        self.compose("stop", *services)

    def restart(self, service: str) -> None:
        """kill -9, and up again."""
        self.kill(service)
        self.start(service)

    def pause(self, service: str) -> None:
        docker("pause", *self.containers(service))

    def unpause(self, service: str) -> None:
        docker("unpause", *self.containers(service))

    def pause_all(self) -> None:
        docker("pause", *self.containers())

    def unpause_all(self) -> None:
        for container in self.containers():
            subprocess.run(["docker", "unpause", container], capture_output=True, check=False)

    def disconnect(self, service: str) -> None:
        """Disconnect a service from all of its networks."""
        for container in self.containers(service):
            if networks := cut_off(container):
                self._cut[container] = networks

    def connect(self, service: str) -> None:
        """Connect a service to its networks again after `disconnect`."""
        for container in self.containers(service):
            join(container, self._cut.pop(container, {}))

    def logs(self, service: str, tail: int | str = "all", since: float | None = None) -> str:
        """The log of a service's containers, line by line as written; `since` is a Unix time."""
        options = ["--tail", str(tail)] + ([] if since is None else ["--since", f"{since:.0f}"])
        said = []
        for container in self.containers(service):
            done = subprocess.run(
                ["docker", "logs", *options, container],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, errors="replace",
            )  # fmt: skip
            said.append(done.stdout)
        return "".join(said)

    def report(self, tail: int = 60, since: float | None = None) -> str:
        """What is needed to see why something failed: the states, and each service's last log lines."""
        parts = [self.compose("ps", "--all", check=False)]
        for service in SERVICES:
            parts.append(f"--- {service}\n{self.logs(service, tail, since)}")
        return "\n".join(parts)

    # ------------------------------------------------------------ clients

    @property
    def access_key(self) -> tuple[str, str]:
        """An access key that S3 and the Lambda API accept: id and secret."""
        return access_key("operator") if self.settings.get("AUTH") == "on" else ("test", "test")

    @cached_property
    def api(self) -> httpx.Client:
        """Client of the HTTP API."""
        return httpx.Client(base_url=self.api_url, timeout=35)

    @cached_property
    def s3(self) -> Any:
        return client("s3", self.s3_url, *self.access_key)

    @cached_property
    def lambda_(self) -> Any:
        """boto3's client of the Lambda API."""
        return client("lambda", self.lambda_url, *self.access_key)

    def read(self, uri: str) -> bytes:
        """The bytes of s3://bucket/key."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def resonate(self, kind: str, **data: object) -> dict[str, Any]:
        """One request to the Resonate server over its wire, version 2026-04-01; its whole answer."""
        head = {"corrId": secrets.token_hex(4), "version": "2026-04-01"}
        if self.settings.get("AUTH") == "on":
            head["auth"] = secret("resonate_token_operator")
        body = {"kind": kind, "head": head, "data": data}
        answer: dict[str, Any] = httpx.post(self.resonate_url, json=body, timeout=10).json()
        return answer


def client(name: str, url: str, key_id: str, key: str, region: str = "us-east-1") -> Any:
    """boto3's client of the service `name` at `url`. It does not retry, so that a test knows what one call did."""
    # boto3's factory is typed by one overload per service name, so there is none for a variable name.
    factory: Any = boto3.client
    return factory(
        name,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key_id,
        aws_secret_access_key=key,
        config=Config(
            retries={"total_max_attempts": 1},
            read_timeout=60,
            signature_version="v4" if name == "lambda" else "s3v4",
            s3={"addressing_style": "path"},
        ),
    )
