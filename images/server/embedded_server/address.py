"""Addresses of workers and listeners: which are valid, and what each means."""

from functools import lru_cache
from typing import NamedTuple

import ada_url


class Poll(NamedTuple):
    """`poll://cast@group[/id]`: a worker that holds `GET /poll/{group}/{id}` open."""

    cast: str
    group: str
    id: str | None


class Push(NamedTuple):
    """`http(s)://…`: a POST."""

    url: str


class Unserved(NamedTuple):
    """`gcps://project/topic` and `bash://…`: valid as v0.9.8 has it, but not delivered by this server."""

    scheme: str


type Address = Poll | Push | Unserved


@lru_cache(maxsize=4096)
def parse(address: str) -> Address | None:
    """The address, or None where v0.9.8 answers 400. URLs are read as the WHATWG says, as its `url` crate
    does."""
    try:
        url = ada_url.URL(address)
    except ValueError:
        return None
    scheme = url.protocol
    path = url.pathname
    if scheme in ("http:", "https:"):
        return Push(address)
    if scheme == "poll:":
        if url.username not in ("uni", "any") or not url.hostname:
            return None
        return Poll(url.username, url.hostname, path[1:] if len(path) > 1 else None)
    if scheme == "gcps:":
        return Unserved("gcps") if url.hostname and len(path) > 1 else None
    return Unserved("bash") if scheme == "bash:" else None
