"""Clients that leave in the middle of their body."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

log = logging.getLogger("gateway.leavers")


@web.middleware
async def forgive(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """One line in the log for such a client; to aiohttp it is an error of the handler's, with a traceback."""
    try:
        return await handler(request)
    except ConnectionResetError:
        if request.content.exception() is None:
            raise
        log.info("%s %s: the client left in the middle of its body", request.method, request.path)
        return web.Response(status=400)
