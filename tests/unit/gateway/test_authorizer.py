"""Tokens against what API Gateway checks of them.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway import issuer
from gateway.authorizer import Authorizer, Jwt, RefusedError
from gateway.issuer import API_AUDIENCE, API_ISSUER
from gateway.routes import SpecificationError, parse

WANTED = Jwt(API_ISSUER, (API_AUDIENCE,))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    issuer.make_keys(folder)
    return folder


@pytest.fixture
def authorizer(folder: Path) -> Authorizer:
    return Authorizer({API_ISSUER: folder / "api_jwks"})


def signed(folder: Path, algorithm: str = "RS256", **claims: Any) -> str:
    key = (folder / "api_private_key").read_bytes()
    kid = json.loads((folder / "api_jwks").read_bytes())["keys"][0]["kid"]
    full = {"iss": API_ISSUER, "aud": API_AUDIENCE, "sub": "a", "exp": time.time() + 60} | claims
    full = {name: value for name, value in full.items() if value is not None}
    return jwt.encode(full, key, algorithm=algorithm, headers={"kid": kid})


async def refused(authorizer: Authorizer, token: str | None, wanted: Jwt = WANTED) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        await authorizer.check(wanted, token)
    return caught.value.status, str(caught.value)


async def test_claims_reach_the_event_as_strings(authorizer: Authorizer, folder: Path) -> None:
    token = signed(folder, groups=["a", "b"], age=4, admin=True, email="a@example.com")
    found = (await authorizer.check(WANTED, f"Bearer {token}"))["jwt"]
    assert found["scopes"] is None
    claims = found["claims"]
    assert claims["groups"] == "[a b]"
    assert claims["age"] == "4"
    assert claims["admin"] == "true"
    assert claims["email"] == "a@example.com"
    # The token alone, without the word, is a token too.
    assert await authorizer.check(WANTED, token)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": time.time() - 10}, "the token has expired"),
        ({"exp": None}, "the token is malformed"),
        ({"nbf": time.time() + 600}, "the token is not valid yet"),
        ({"iat": time.time() + 600}, "the token is not valid yet"),
        ({"iss": "https://example.com"}, "the token does not have a valid issuer"),
        ({"aud": "another"}, "the token does not have a valid audience"),
        ({"aud": ["another"]}, "the token does not have a valid audience"),
        ({"aud": None}, "the token does not have a valid audience"),
        # client_id counts only where there is no aud.
        ({"aud": "another", "client_id": API_AUDIENCE}, "the token does not have a valid audience"),
    ],
)
async def test_a_claim_that_is_wrong_is_401(
    authorizer: Authorizer, folder: Path, claims: dict[str, Any], why: str
) -> None:
    assert await refused(authorizer, signed(folder, **claims)) == (401, why)


async def test_client_id_stands_in_for_a_missing_audience(authorizer: Authorizer, folder: Path) -> None:
    assert await authorizer.check(WANTED, signed(folder, aud=None, client_id=API_AUDIENCE))
    assert await authorizer.check(WANTED, signed(folder, aud=["x", API_AUDIENCE]))


async def test_only_rsa_is_accepted_and_only_the_issuers_key(authorizer: Authorizer, folder: Path) -> None:
    claims = {"iss": API_ISSUER, "aud": API_AUDIENCE, "exp": time.time() + 60}
    kid = json.loads((folder / "api_jwks").read_bytes())["keys"][0]["kid"]
    curve = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode(claims, curve, algorithm="ES256", headers={"kid": kid})
    assert await refused(authorizer, token) == (401, "the token's algorithm is not supported")
    # The classic: the public key as the secret of an HMAC, and no signature at all.
    token = jwt.encode(
        claims, b"a secret of thirty-two bytes, or more", algorithm="HS256", headers={"kid": kid}
    )
    assert await refused(authorizer, token) == (401, "the token's algorithm is not supported")
    token = jwt.encode(claims, None, algorithm="none", headers={"kid": kid})
    assert await refused(authorizer, token) == (401, "the token's algorithm is not supported")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = jwt.encode(claims, other, algorithm="RS256", headers={"kid": kid})
    assert await refused(authorizer, token) == (401, "signature error")
    token = jwt.encode(claims, other, algorithm="RS256")
    assert await refused(authorizer, token) == (401, "the token's kid is unknown")


async def test_a_missing_scope_is_403(authorizer: Authorizer, folder: Path) -> None:
    wanted = Jwt(API_ISSUER, (API_AUDIENCE,), scopes=("jobs:read", "jobs:write"))
    assert (await refused(authorizer, signed(folder), wanted))[0] == 403
    assert (await refused(authorizer, signed(folder, scope="jobs"), wanted))[0] == 403
    found = await authorizer.check(wanted, signed(folder, scope="openid jobs:read"))
    assert found["jwt"]["scopes"] == ["jobs:read"]
    assert await authorizer.check(wanted, signed(folder, scp=["jobs:write"]))


@pytest.fixture
async def provider(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """An OpenID Connect issuer elsewhere: what it serves, and how often it was asked."""
    state: dict[str, Any] = {
        "asked": 0,
        "keys": json.loads((folder / "api_jwks").read_bytes()),
        "status": 200,
    }

    async def discovery(_: web.Request) -> web.Response:
        return web.json_response({"jwks_uri": state["url"] + "/keys"}, status=state["status"])

    async def keys(_: web.Request) -> web.Response:
        state["asked"] += 1
        return web.json_response(state["keys"])

    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", discovery)
    app.router.add_get("/keys", keys)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    state["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield state
    await runner.cleanup()


async def test_another_issuers_keys_are_found_by_discovery_and_kept(
    provider: dict[str, Any], folder: Path
) -> None:
    authorizer, wanted = Authorizer(), Jwt(provider["url"], (API_AUDIENCE,))
    for _ in range(3):
        assert await authorizer.check(wanted, signed(folder, iss=provider["url"]))
    assert provider["asked"] == 1
    # Keys that were found stay when the issuer is away.
    provider["status"] = 500
    assert await authorizer.check(wanted, signed(folder, iss=provider["url"]))


async def test_an_issuer_that_is_away_is_401(provider: dict[str, Any], folder: Path) -> None:
    provider["status"] = 500
    authorizer, wanted = Authorizer(), Jwt(provider["url"], (API_AUDIENCE,))
    status, why = await refused(authorizer, signed(folder, iss=provider["url"]), wanted)
    assert (status, why) == (401, "unable to fetch the issuer's keys")


def document(**operation: Any) -> dict[str, Any]:
    integration = {"x-amazon-apigateway-integration": {"payloadFormatVersion": "2.0"}}
    authorizer = {"type": "jwt", "jwtConfiguration": {"issuer": "https://i", "audience": ["a"]}}
    return {
        "paths": {"/a": {"get": integration | operation}},
        "components": {
            "securitySchemes": {
                "users": {"type": "oauth2", "x-amazon-apigateway-authorizer": authorizer},
                "keys": {"type": "apiKey"},
            }
        },
    }


def authorizer_of(spec: dict[str, Any], default: Jwt | None = None) -> Jwt | None:
    found = parse(spec, default).match("GET", "/a")
    assert found
    return found[0].authorizer


def test_a_route_says_by_security_which_authorizer_it_has() -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html"""
    assert authorizer_of(document()) is None
    assert authorizer_of(document(), WANTED) is WANTED
    assert authorizer_of(document(security=[]), WANTED) is None
    users = authorizer_of(document(security=[{"users": ["read"]}]), WANTED)
    assert users == Jwt("https://i", ("a",), scopes=("read",))
    assert authorizer_of(document() | {"security": [{"users": []}]}) == Jwt("https://i", ("a",))


@pytest.mark.parametrize("security", [[{"keys": []}], [{"unknown": []}], [{"users": []}, {"keys": []}]])
def test_an_authorizer_that_cannot_be_served_is_refused_at_start(security: list[Any]) -> None:
    with pytest.raises(SpecificationError, match="GET /a: "):
        parse(document(security=security))


def test_keys_are_made_once(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert issuer.make_keys(folder) == []
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert (folder / "resonate_private_key").stat().st_mode & 0o077 == 0
    assert (folder / "resonate_token_operator").stat().st_mode & 0o077 == 0
