"""`python stand_in.py PORT`: the SDK's in-process server behind HTTP, for when the stack's own server is not installed.

The SDK made it for tests, and it does not behave like a real server in every detail, but promises are created, read and
settled as by one.
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
