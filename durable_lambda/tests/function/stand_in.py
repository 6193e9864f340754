"""`python stand_in.py PORT`: the SDK's in-process server behind HTTP, where the stack's own server is not at hand.

It is not faithful in everything (docs of the SDK: for tests), but promises are created, read and settled as on the wire.
"""

import sys

from aiohttp import web
from resonate.connections import LocalConnection


async def made() -> web.Application:
    local = LocalConnection()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=await local.send(await request.text()), content_type="application/json")

    app = web.Application()
    app.router.add_post("/", answer)
    return app


if __name__ == "__main__":
    web.run_app(made(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
