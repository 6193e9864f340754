"""Who may do what, by JSON Web Token. Source: v0.9.8 `auth.rs`."""

import logging
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec.json import decode as parse

from .config import Auth as AuthSettings
from .config import SettingsError
from .protocol import Refusal

log = logging.getLogger(__name__)

LEEWAY = 60  # seconds a token outlives its `exp`, as in v0.9.8
KNOWN = {f"{family}{size}" for family in ("HS", "RS", "PS") for size in (256, 384, 512)} | {
    "ES256",
    "ES384",
    "EdDSA",
}
BY_ID = {
    "promise.get", "promise.create", "promise.settle",
    "task.get", "task.acquire", "task.release", "task.fulfill", "task.suspend", "task.fence", "task.halt",
    "task.continue",
    "schedule.get", "schedule.delete",
}  # fmt: skip


class Auth:
    """Checks tokens against the configured key; with the key `none` their signature is not looked at."""

    def __init__(self, settings: AuthSettings) -> None:
        self._key: Any = None
        self._algorithms: list[str] = []
        if settings.publickey != "none":
            self._key, self._algorithms = _load(settings.publickey)
        self._settings = settings
        if self._key is None:
            log.warning("auth enabled, unsigned mode: no signature is verified")

    def token(self, token: str | None) -> dict[str, Any] | None:
        """The claims of a valid token, else None."""
        if not token:
            return None
        settings = self._settings
        required = ["exp"] + ["iss"] * (settings.iss is not None) + ["aud"] * (settings.aud is not None)
        try:
            if self._key is None:
                # The signature is not read; the header must still name an algorithm that v0.9.8 knows.
                token = token.rpartition(".")[0] + "."
                if jwt.get_unverified_header(token).get("alg") not in KNOWN:
                    return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key=self._key,
                algorithms=self._algorithms,
                audience=settings.aud,
                issuer=settings.iss,
                leeway=LEEWAY,
                options={
                    "require": required,
                    "verify_signature": self._key is not None,
                    "verify_exp": True,
                    "verify_iss": settings.iss is not None,
                    "verify_aud": settings.aud is not None,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            log.warning("auth: token refused: %s", error)
            return None
        return claims if _well_formed(claims) else None

    def check(self, kind: str, token: str | None, data: Any) -> None:
        """Refuses a request whose token does not allow it."""
        claims = self.token(token)
        if claims is None:
            raise Refusal(401, "Unauthorized")
        role, prefix = claims.get("role"), claims.get("prefix")
        if role is not None and role.lower() == "admin":
            return
        if not isinstance(prefix, str):
            raise Refusal(403, "Forbidden")
        if prefix and not all(id.startswith(prefix) for id in _ids(kind, parse(data))):
            raise Refusal(403, "Forbidden")


def _well_formed(claims: dict[str, Any]) -> bool:
    """The types v0.9.8 expects of the claims it reads; `aud` must be a list."""
    role, issuer, audience = claims.get("role"), claims.get("iss"), claims.get("aud")
    return (
        isinstance(role, str | None)
        and isinstance(issuer, str | None)
        and (audience is None or (isinstance(audience, list) and all(isinstance(a, str) for a in audience)))
    )


def _ids(kind: str, data: dict[str, Any]) -> list[str]:
    """The ids that a request touches. A search or an unknown request may touch all: "" matches no prefix."""
    if kind == "task.heartbeat":
        tasks = data.get("tasks")
        found = (
            [task.get("id") for task in tasks if isinstance(task, dict)] if isinstance(tasks, list) else []
        )
    elif kind in BY_ID:
        found = [data.get("id")]
    elif kind in ("promise.register_callback", "promise.register_listener"):
        found = [data.get("awaited")]
    elif kind == "schedule.create":
        found = [data.get("promiseId")]
    elif kind == "task.create":
        action = data.get("action")
        inner = action.get("data") if isinstance(action, dict) else None
        found = [inner.get("id")] if isinstance(inner, dict) else []
    else:
        return [""]
    return [id for id in found if isinstance(id, str)]


def _load(path: str) -> tuple[Any, list[str]]:
    """The key in a PEM file, and the algorithms its kind allows."""
    try:
        pem = Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"Failed to read public key file '{path}': {error}") from error
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, rsa.RSAPublicKey):
        return key, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key, ["ES256", "ES384"]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key, ["EdDSA"]
    raise SettingsError(
        f"Unsupported or invalid public key in '{path}'. Supported types: RSA, EC (P-256/P-384), Ed25519."
    )
