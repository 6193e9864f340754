"""The Lambda function: accepts document jobs durably, and answers for them. It does no work itself.

`POST /process-document` records the job as a durable promise and answers 202 once that exists; a worker runs
it. Everything else reads or settles promises. What is deployed to AWS is this file, its neighbours and their
dependencies. `python lambda_function.py job-001` sends it a synthetic event, as a first smoke test.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.utilities.typing import LambdaContext

import events
from callers import Caller, caller
from contract import Job, NotASourceError, Sources, Verdict
from jobs import Answer, Jobs
from promises import connect

logger = Logger(service="document-processor")
router = Router()  # type: ignore[no-untyped-call]
http_api, rest_api = APIGatewayHttpResolver(), APIGatewayRestResolver()
promises = connect()
jobs = Jobs(promises)
sources = Sources.of(os.environ)


def answer(work: Callable[[], Awaitable[Answer]]) -> Response[str]:
    """Do the work within what is left of this invocation, and say what came of it."""
    return events.response(promises.call(lambda _: work(), events.remaining_seconds(router.lambda_context)))


def who() -> Caller | None:
    """The holder of the token that the request came with; None where none is asked for."""
    return caller(router.current_event.raw_event)


@router.post("/process-document")
def process_document() -> Response[str]:
    job = events.body(router.current_event, Job)
    logger.append_keys(job=job.jobId)
    try:
        sources.check(job.documentUrl)
    except NotASourceError as error:
        raise events.wrong_field("documentUrl", str(error)) from None
    return answer(lambda: jobs.submit(job, who()))


@router.get("/status/<job_id>")
def status(job_id: str) -> Response[str]:
    job_id = events.job_id(job_id)
    return answer(lambda: jobs.status(job_id, who()))


@router.post("/approve/<job_id>")
def approve(job_id: str) -> Response[str]:
    job_id, verdict = events.job_id(job_id), events.body(router.current_event, Verdict)
    return answer(lambda: jobs.approve(job_id, verdict, who()))


@router.delete("/jobs/<job_id>")
def cancel(job_id: str) -> Response[str]:
    job_id = events.job_id(job_id)
    return answer(lambda: jobs.cancel(job_id, who()))


@router.post("/jobs/<job_id>/retry")
def retry(job_id: str) -> Response[str]:
    job_id = events.job_id(job_id)
    return answer(lambda: jobs.retry(job_id, who()))


@router.get("/jobs")
def list_jobs() -> Response[str]:
    state, limit, cursor = events.page(router.current_event)
    return answer(lambda: jobs.listed(state, limit, cursor, who()))


for app in (http_api, rest_api):
    app.include_router(router)
    app.exception_handler(Exception)(events.explained(logger))
    app.not_found(events.unknown_route)


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway event, payload 2.0 or 1.0."""
    try:
        event = events.complete(event)
    except events.InvalidError as error:
        return events.refused(error)
    app = http_api if events.is_http_api(event) else rest_api
    return app.resolve(event, context)


if __name__ == "__main__":
    print(json.dumps(lambda_handler(*events.synthetic(sys.argv[1:])), indent=2))  # noqa: T201
    promises.close()
