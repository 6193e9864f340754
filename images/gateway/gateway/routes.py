"""The routes of the HTTP API, from the OpenAPI file that the deployed one imports.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html: a full match wins
over a greedy one, a method over ANY, and everything over $default.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from .authorizer import Jwt

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ANY = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"
_DEFAULT = "/$default"


class SpecificationError(ValueError):
    """The OpenAPI file cannot be served; the message says which file, where, and what is missing."""


@dataclass(frozen=True)
class Route:
    """`method` is upper case or ANY; `path` as in the file."""

    method: str
    path: str
    event_version: str = "2.0"
    #: What a caller's token must fulfil; None: no token is needed.
    authorizer: Jwt | None = None

    @property
    def key(self) -> str:
        return "$default" if self.path == _DEFAULT else f"{self.method} {self.path}"

    @property
    def resource(self) -> str:
        return "$default" if self.path == _DEFAULT else self.path


@dataclass
class Cors:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html"""

    origins: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    expose: list[str] = field(default_factory=list)
    max_age: int | None = None
    credentials: bool = False


@dataclass
class _Pattern:
    route: Route
    regex: re.Pattern[str]
    #: Sort order: no greedy segment first, then more literal segments, then a named method before ANY.
    rank: tuple[int, int, int]


def _pattern(route: Route) -> _Pattern:
    parts, literal, greedy = [], 0, 0
    for segment in route.path.strip("/").split("/"):
        if segment.startswith("{") and segment.endswith("+}"):
            greedy = 1
            parts.append(f"(?P<{_group(segment[1:-2])}>.+)")
        elif segment.startswith("{") and segment.endswith("}"):
            parts.append(f"(?P<{_group(segment[1:-1])}>[^/]+)")
        else:
            literal += 1
            parts.append(re.escape(segment))
    regex = re.compile("/" + "/".join(parts))
    return _Pattern(route, regex, (greedy, -literal, route.method == "ANY"))


def _group(name: str) -> str:
    if not name.isidentifier():
        raise SpecificationError(f"path parameter {{{name}}}: expected a name of letters, digits and _")
    return name


class Routes:
    """Finds the route of a request."""

    def __init__(self, routes: list[Route], cors: Cors | None = None) -> None:
        self.cors = cors
        self._default = next((route for route in routes if route.path == _DEFAULT), None)
        patterns = [_pattern(route) for route in routes if route.path != _DEFAULT]
        self._patterns = sorted(patterns, key=lambda pattern: pattern.rank)

    def match(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and its decoded path parameters; None is a 404, a known path with another method too."""
        for pattern in self._patterns:
            if pattern.route.method in (method, "ANY") and (found := pattern.regex.fullmatch(raw_path)):
                return pattern.route, {name: unquote(value) for name, value in found.groupdict().items()}
        return (self._default, {}) if self._default else None


def read(path: Path, authorizer: Jwt | None = None) -> Routes:
    """`authorizer` guards every route that does not configure security. Raises SpecificationError, OSError."""
    try:
        document = yaml.safe_load(path.read_text())
        return parse(document, authorizer)
    except (yaml.YAMLError, SpecificationError) as error:
        raise SpecificationError(f"{path}: {error}") from error


def parse(document: Any, authorizer: Jwt | None = None) -> Routes:
    """Raises SpecificationError."""
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise SpecificationError("no `paths`: expected an OpenAPI 3 document")
    routes = []
    for path, operations in document["paths"].items():
        for name, operation in operations.items():
            if name not in _METHODS and name != _ANY:
                continue
            method = "ANY" if name == _ANY else name.upper()
            where = f"{method} {path}"
            version = _event_version(document, where, operation)
            routes.append(Route(method, path, version, _authorizer(document, where, operation, authorizer)))
    return Routes(routes, _cors(document.get("x-amazon-apigateway-cors")))


def _event_version(document: dict[str, Any], where: str, operation: Any) -> str:
    integration = operation.get(_INTEGRATION) if isinstance(operation, dict) else None
    if isinstance(integration, dict) and "$ref" in integration:
        target: Any = document
        for part in integration["$ref"].removeprefix("#/").split("/"):
            target = target.get(part) if isinstance(target, dict) else None
        integration = target
    if not isinstance(integration, dict):
        raise SpecificationError(f"{where}: no {_INTEGRATION}, so the deployed API could not serve it either")
    version = str(integration.get("payloadFormatVersion", ""))
    if version not in ("1.0", "2.0"):
        raise SpecificationError(f"{where}: payloadFormatVersion is {version!r}, expected '1.0' or '2.0'")
    return version


def _authorizer(document: dict[str, Any], where: str, operation: Any, default: Jwt | None) -> Jwt | None:
    """The JWT authorizer of a route: its own `security`, else the document's, else the default.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html
    """
    security = operation.get("security", document.get("security")) if isinstance(operation, dict) else None
    if security is None:
        return default
    if not security:  # `security: []` opens a route
        return None
    if len(security) != 1 or len(security[0]) != 1:
        raise SpecificationError(f"{where}: security names several schemes; an HTTP API has one for a route")
    [(name, scopes)] = security[0].items()
    scheme = document.get("components", {}).get("securitySchemes", {}).get(name, {})
    found = scheme.get("x-amazon-apigateway-authorizer")
    if not isinstance(found, dict) or found.get("type") != "jwt":
        raise SpecificationError(
            f"{where}: security scheme {name!r} is not a JWT authorizer; only those are supported here"
        )
    settings = found.get("jwtConfiguration", {})
    if not settings.get("issuer") or not settings.get("audience"):
        raise SpecificationError(
            f"{where}: security scheme {name!r} has no jwtConfiguration with issuer and audience"
        )
    source = found.get("identitySource", Jwt.identity_source)
    source = source if isinstance(source, str) else source[0]
    if not source.startswith(("$request.header.", "$request.querystring.")):
        raise SpecificationError(
            f"{where}: identitySource {source!r} is neither a header nor a query parameter"
        )
    return Jwt(settings["issuer"], tuple(settings["audience"]), source, tuple(scopes))


def _cors(document: Any) -> Cors | None:
    if document is None:
        return None
    if not isinstance(document, dict):
        raise SpecificationError("x-amazon-apigateway-cors: expected an object")
    return Cors(
        origins=document.get("allowOrigins", []),
        methods=document.get("allowMethods", []),
        headers=document.get("allowHeaders", []),
        expose=document.get("exposeHeaders", []),
        max_age=document.get("maxAge"),
        credentials=bool(document.get("allowCredentials", False)),
    )
