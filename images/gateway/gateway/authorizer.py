"""The JWT authorizer of an HTTP API: who may call a route, by a token of an OpenID Connect issuer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt

log = logging.getLogger("gateway.authorizer")
#: "Currently, only RSA-based algorithms are supported."
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
#: "API Gateway can cache the public key for two hours."
_KEYS_SECONDS = 7200.0
#: A token with an unknown key makes us look for new keys, but not more often than this.
_LOOK_AGAIN_SECONDS = 30.0
_FETCH_SECONDS = 5.0


@dataclass(frozen=True)
class Jwt:
    """What a route requires of a token. `identity_source` is `$request.header.NAME` or `$request.querystring.NAME`."""

    issuer: str
    audience: tuple[str, ...]
    identity_source: str = "$request.header.Authorization"
    scopes: tuple[str, ...] = ()


class RefusedError(Exception):
    """The token does not allow the call: 401, or 403 if only a scope is missing."""

    def __init__(self, status: int, why: str | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.message = "Unauthorized" if status == 401 else "Forbidden"
        error = "invalid_token" if status == 401 else "insufficient_scope"
        self.challenge = "Bearer" + (f' scope="" error="{error}" error_description="{why}"' if why else "")


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be fetched now."""


class Keys:
    """The public keys of one issuer: from a file, or from where its discovery document says."""

    def __init__(self, issuer: str, file: Path | None = None) -> None:
        self._issuer = issuer
        self._file = file
        self._found: dict[str, Any] = {}
        self._looked = -_KEYS_SECONDS
        self._looking = asyncio.Lock()

    async def key(self, kid: str) -> Any:
        """The key of that id, or None. Raises :class:`KeysUnavailableError`."""
        age = time.monotonic() - self._looked
        if age > _KEYS_SECONDS or (kid not in self._found and age > _LOOK_AGAIN_SECONDS):
            async with self._looking:
                if (
                    time.monotonic() - self._looked >= age
                ):  # no other request has fetched them while this one waited
                    await self._look()
        return self._found.get(kid)

    async def _look(self) -> None:
        try:
            document = json.loads(self._file.read_bytes()) if self._file else await self._fetch()
            keys = jwt.PyJWKSet.from_dict(document).keys
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            TimeoutError,
            aiohttp.ClientError,
            jwt.PyJWTError,
        ) as error:
            log.warning("the keys of issuer %s cannot be fetched: %s", self._issuer, error)
            if not self._found:
                raise KeysUnavailableError(
                    f"the keys of issuer {self._issuer} cannot be fetched: {error}"
                ) from error
        else:
            self._found = {key.key_id: key.key for key in keys if key.key_id}
            self._looked = time.monotonic()

    async def _fetch(self) -> Any:
        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
            where = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
            async with session.get(where) as answer:
                place = (await answer.json(content_type=None))["jwks_uri"]
            async with session.get(place) as answer:
                return await answer.json(content_type=None)


class Authorizer:
    """Checks tokens; `files` holds the keys of issuers that are not asked over the network."""

    def __init__(self, files: dict[str, Path] | None = None) -> None:
        self._files = files or {}
        self._keys: dict[str, Keys] = {}

    async def check(self, wanted: Jwt, token: str | None) -> dict[str, Any]:
        """What the event says about the caller. Raises :class:`RefusedError`."""
        if not token:
            raise RefusedError(401)
        token = token[7:] if token[:7].lower() == "bearer " else token
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise RefusedError(401, "the token is malformed") from None
        if header.get("alg") not in _ALGORITHMS:
            raise RefusedError(401, "the token's algorithm is not supported")
        kid = header.get("kid")
        keys = self._keys.setdefault(wanted.issuer, Keys(wanted.issuer, self._files.get(wanted.issuer)))
        try:
            key = await keys.key(kid) if isinstance(kid, str) else None
        except KeysUnavailableError:
            raise RefusedError(401, "unable to fetch the issuer's keys") from None
        if key is None:
            raise RefusedError(401, "the token's kid is unknown")
        claims = _claims(token, key, wanted)
        scopes = _scopes(claims)
        if wanted.scopes and not set(wanted.scopes) & set(scopes):
            raise RefusedError(403, "the token does not have a required scope")
        # In the event every claim is a string, and the scopes are those that the route asked for.
        granted = [scope for scope in wanted.scopes if scope in scopes] or None
        return {"jwt": {"claims": {name: _said(value) for name, value in claims.items()}, "scopes": granted}}


def _claims(token: str, key: Any, wanted: Jwt) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key=key,
            algorithms=_ALGORITHMS,
            issuer=wanted.issuer,
            options={"require": ["exp", "iss"], "verify_aud": False},
        )
    except jwt.ExpiredSignatureError:
        raise RefusedError(401, "the token has expired") from None
    except jwt.ImmatureSignatureError:
        raise RefusedError(401, "the token is not valid yet") from None
    except jwt.InvalidIssuerError:
        raise RefusedError(401, "the token does not have a valid issuer") from None
    except jwt.InvalidSignatureError:
        raise RefusedError(401, "signature error") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise RefusedError(401, "the token is malformed") from None
    # client_id counts only where there is no aud.
    audience = claims.get("aud", claims.get("client_id"))
    given = audience if isinstance(audience, list) else [audience]
    if not any(one in wanted.audience for one in given):
        raise RefusedError(401, "the token does not have a valid audience")
    return claims


def _scopes(claims: dict[str, Any]) -> list[str]:
    given = claims.get("scope", claims.get("scp", ""))
    return [str(one) for one in given] if isinstance(given, list) else str(given).split()


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + " ".join(_said(one) for one in value) + "]"
    return json.dumps(value)
