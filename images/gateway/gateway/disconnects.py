"""Clients that disconnect before their whole request body has arrived."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

log = logging.getLogger("gateway.disconnects")


@web.middleware
async def log_disconnect(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Logs one line for such a client, where aiohttp would log a traceback as for an error of ours."""
    try:
        return await handler(request)
    except ConnectionResetError:
        if request.content.exception() is None:
            raise
        log.info("%s %s: the client disconnected while it sent its body", request.method, request.path)
        return web.Response(status=400)
