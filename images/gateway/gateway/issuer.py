"""The local issuer: makes the keys of AUTH=on and the tokens they sign. It runs when called, and serves nothing.

    python -m gateway.issuer keys FOLDER
    python -m gateway.issuer worker FOLDER [--prefix doc/]
    python -m gateway.issuer token FOLDER [--subject WHO] [--scope "a b"] [--hours N]

`keys` writes what is not there yet: the key pair whose tokens the Resonate server accepts, with a token for the function
and one for the operator; the key pair of the HTTP API's tokens with its JWKS; and the AWS access keys that the
Lambda API and S3 accept. `worker` writes the Resonate server's token for the workers of an application, whose promises'
ids begin with its prefix. `token` prints a token for the HTTP API. In AWS others take this place: Cognito or any OpenID
Connect issuer for the API, IAM for access keys, Secrets Manager for the rest.
"""

import argparse
import json
import os
import secrets
import string
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

API_ISSUER = "https://issuer.durable-lambda.local"
API_AUDIENCE = "durable-lambda-api"
#: A job may live for ten years, so the tokens of the services last as long.
_INSIDE_SECONDS = 3650 * 24 * 3600
#: Which promises a token for the Resonate server may touch. The function also searches, which only an empty prefix allows.
_INSIDE = {
    "function": {"prefix": ""},
    "operator": {"role": "admin"},
}
#: The folder of the workers' tokens, a file for each prefix; `_all` for the empty one.
_WORKERS = "resonate_tokens_worker"

#: Who has an access key, and which services accept it; `stack` is S3 itself, when it makes the buckets.
_ACCESS = {
    "operator": ("lambda", "s3"),
    "function": ("s3",),
    "worker": ("s3",),
    "stack": ("s3",),
}
#: Who gets a credentials file.
_CREDENTIALS = ("function", "worker", "operator")


def make_keys(folder: Path) -> list[str]:
    """Make what is missing; returns what was made. If a key pair or one of its tokens is missing, all are made again."""
    made = []
    private = folder / "resonate_private_key"
    tokens = [folder / f"resonate_token_{name}" for name in _INSIDE]
    if not private.exists() or not all(file.exists() for file in (folder / "resonate_public_key", *tokens)):
        key = ed25519.Ed25519PrivateKey.generate()
        _write(private, _pem(key), 0o600)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        _write(folder / "resonate_public_key", public, 0o444)
        for name, claims in _INSIDE.items():
            # Tokens of services are read in their containers, by another user.
            _write(
                folder / f"resonate_token_{name}",
                _inside(key, name, claims),
                0o600 if name == "operator" else 0o444,
            )
        # These were signed with the earlier key.
        for old in (folder / _WORKERS).glob("*"):
            old.unlink()
        made.append("the Resonate server's key and its clients' tokens")
    private, public_set = folder / "api_private_key", folder / "api_jwks"
    if not private.exists() or not public_set.exists():
        rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key()))
        jwk |= {"kid": uuid.uuid4().hex[:12], "alg": "RS256", "use": "sig"}
        _write(private, _pem(rsa_key), 0o600)
        _write(public_set, json.dumps({"keys": [jwk]}).encode(), 0o444)
        made.append("the HTTP API's key")
    doors = {door: folder / f"aws_keys_{door}" for door in ("lambda", "s3")}
    credentials = {name: folder / f"aws_credentials_{name}" for name in _CREDENTIALS}
    if not all(file.exists() for file in (*doors.values(), *credentials.values())):
        pairs = {name: _access_key() for name in _ACCESS}
        for door, file in doors.items():
            _write(
                file,
                _profiles({name: pairs[name] for name, opens in _ACCESS.items() if door in opens}),
                0o444,
            )
        for name, file in credentials.items():
            _write(file, _profiles({"default": pairs[name]}), 0o600 if name == "operator" else 0o444)
        made.append("the AWS access keys of the Lambda API's and S3's clients")
    return made


def make_worker_token(folder: Path, prefix: str) -> Path:
    """Write the token of the workers whose promises' ids begin with `prefix`; an empty one is for all promises."""
    key = load_pem_private_key((folder / "resonate_private_key").read_bytes(), password=None)
    file = folder / _WORKERS / (prefix.rstrip("/") or "_all")
    file.parent.mkdir(exist_ok=True)
    _write(file, _inside(key, "worker", {"prefix": prefix}), 0o444)
    return file


def _inside(key: Any, name: str, claims: dict[str, str]) -> bytes:
    now = int(time.time())
    said = {"sub": name, "iat": now, "exp": now + _INSIDE_SECONDS, **claims}
    return jwt.encode(said, key, algorithm="EdDSA").encode()


def _access_key() -> tuple[str, str]:
    """An id of AWS's form, 20 capitals and digits, that nobody has in AWS; and a secret of 40 characters.

    LocalStack takes the account out of ids that begin with LSIA, LKIA or twelve digits, and its default one for others.
    """
    alphabet = string.ascii_uppercase + "234567"
    return "LOCAL" + "".join(secrets.choice(alphabet) for _ in range(15)), secrets.token_urlsafe(30)


def _profiles(pairs: dict[str, tuple[str, str]]) -> bytes:
    """A file in the form of AWS's shared credentials file, with one profile for each pair."""
    return "".join(
        f"[{name}]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"
        for name, (key_id, secret) in pairs.items()
    ).encode()


def api_token(folder: Path, subject: str, scope: str, hours: float) -> str:
    """A token for the HTTP API, as an OpenID Connect issuer would give it after a login."""
    key = load_pem_private_key((folder / "api_private_key").read_bytes(), password=None)
    kid = json.loads((folder / "api_jwks").read_bytes())["keys"][0]["kid"]
    now = int(time.time())
    claims = {
        "iss": API_ISSUER,
        "aud": API_AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + int(hours * 3600),
        "jti": uuid.uuid4().hex,
        **({"scope": scope} if scope else {}),
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid})  # type: ignore[arg-type]


def _pem(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    new.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.issuer")
    verbs = parser.add_subparsers(dest="verb", required=True)
    keys = verbs.add_parser("keys")
    worker = verbs.add_parser("worker")
    token = verbs.add_parser("token")
    for verb in (keys, worker, token):
        verb.add_argument("folder", type=Path)
    worker.add_argument("--prefix", default="")
    token.add_argument("--subject", default="you")
    token.add_argument("--scope", default="")
    token.add_argument("--hours", type=float, default=1.0)
    asked = parser.parse_args()
    if asked.verb == "keys":
        for what in make_keys(asked.folder):
            sys.stdout.write(f"{what}\n")
    elif asked.verb == "worker":
        make_worker_token(asked.folder, asked.prefix)
    else:
        sys.stdout.write(api_token(asked.folder, asked.subject, asked.scope, asked.hours) + "\n")


if __name__ == "__main__":
    main()
