"""An application of three files, as somebody writes it who has read docs/application.md, in a folder of their own."""

from pathlib import Path

LAMBDA_FUNCTION = '''\
"""Takes orders, and says where they are."""

import json

from durable_lambda import Resonate
from durable_lambda.ids import root_id

resonate = Resonate.remote(group="gateway")


def lambda_handler(event, context=None):
    http = event["requestContext"]["http"]
    parts = http["path"].strip("/").split("/")
    if http["method"] == "POST" and parts == ["orders"]:
        order = json.loads(event["body"])
        resonate.begin_rpc(root_id(order["orderId"]), "fulfil", order)
        return answer(202, {"status": "accepted", "orderId": order["orderId"]})
    if http["method"] == "GET" and parts[0] == "orders" and len(parts) == 2:
        return status(parts[1])
    return answer(200, {"method": http["method"], "path": http["path"], "query": event["rawQueryString"]})


def status(order_id):
    try:
        handle = resonate.get(root_id(order_id))
    except LookupError:
        return answer(404, {"status": "unknown", "orderId": order_id})
    if not handle.done():
        return answer(200, {"status": "processing", "orderId": order_id})
    return answer(200, {"status": "done", "orderId": order_id, "result": handle.result()})


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
'''

WORKER = '''\
"""Fulfils orders: reserves what was ordered, asks a person where that is wanted, and packs it."""

import asyncio
import os

from durable_lambda.worker import FOREVER, Step, run, run_step
from pydantic import BaseModel


class Order(BaseModel):
    orderId: str
    item: str
    ask: bool = False

    @property
    def jobId(self):
        return self.orderId


async def reserve(tools, order):
    return {"shelf": f"the shelf of {order.item}s"}


async def pack(tools, order, reserved):
    await asyncio.sleep(float(os.environ["PACK_SECONDS"]))
    return {"parcel": f"a {order.item} from {reserved['shelf']}"}


RESERVE, PACK = Step("reserve", reserve), Step("pack", pack)


async def fulfil(ctx, order: Order):
    reserved = await run_step(ctx, RESERVE, order)
    if order.ask:
        await ctx.promise(timeout=FOREVER)
    return await run_step(ctx, PACK, order, reserved)


def register(resonate):
    resonate.register(fulfil)


if __name__ == "__main__":
    run(register)
'''

PYPROJECT = """\
[project]
name = "orders"
version = "0.1.0"
requires-python = ">=3.13"
dependencies = ["durable-lambda"]

[dependency-groups]
worker = ["durable-lambda[worker]"]

[tool.durable-lambda]
name = "orders"
promise-prefix = "order/"

[tool.durable-lambda.worker.environment]
PACK_SECONDS = "4"

[tool.durable-lambda.submit]
call = "POST /orders"
body = { orderId = "{id}", item = "lamp" }
status = "GET /orders/{id}"
over = ["done"]
"""

#: The promise of the question in `fulfil`: the second child of an order that has one.
QUESTION = "order/{order_id}:2"


def write(folder: Path, **files: str) -> Path:
    """Write the three files into the folder; `files` replace them, by their names without the suffix."""
    folder.mkdir(parents=True)
    texts = {"lambda_function": LAMBDA_FUNCTION, "worker": WORKER, "pyproject": PYPROJECT} | files
    for name, text in texts.items():
        (folder / name).with_suffix(".toml" if name == "pyproject" else ".py").write_text(
            text, encoding="utf-8"
        )
    return folder
