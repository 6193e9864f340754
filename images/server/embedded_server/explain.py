"""Why a request is refused, in v0.9.8's words (serde's and its validator's). Only failing requests come here."""

from typing import Any, NoReturn

from msgspec import Raw, Struct

from .protocol import Refusal, RequestEnvelope


def explain[T: Struct](kind: type[T], data: Raw | bytes, prefix: str) -> NoReturn:
    raise Refusal(400, f"{prefix}: not valid")


def explain_envelope(body: bytes) -> tuple[RequestEnvelope | None, str, str, str]:
    return None, "unknown", "0", "Invalid request envelope: not valid"
