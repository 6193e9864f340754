"""The SDK has what connections.py overrides."""

import inspect

from resonate.connections import HttpConnection, SSEConnection
from resonate.resonate import Resonate
from resonate.send import Sender

from durable_lambda.worker.connections import Client, Inbox, Requests


def test_what_is_overridden_is_what_the_sdk_calls() -> None:
    """The SDK's own loops call the private methods that we override; if the SDK renamed them, ours would never be
    called.
    """
    assert "self._ensure_session()" in inspect.getsource(HttpConnection.send)
    loop = inspect.getsource(SSEConnection._sse_loop)
    assert "self._ensure_session()" in loop
    assert "await self._read_stream(resp)" in loop
    assert "recv(self._on_message)" in inspect.getsource(Resonate.start)
    for ours, theirs in ((Requests, HttpConnection), (Inbox, SSEConnection), (Client, Resonate)):
        for name in ("_ensure_session", "_read_stream", "send", "_on_message"):
            if name in vars(ours):
                assert list(inspect.signature(getattr(ours, name)).parameters) == list(
                    inspect.signature(getattr(theirs, name)).parameters
                )
    # The other private parts of the SDK that the library calls or replaces.
    for owner, name in ((Resonate, "_spawn"), (Resonate, "_bounded_execute"), (Sender, "_send_envelope")):
        assert callable(getattr(owner, name, None)), f"{owner.__name__}.{name}"
