"""The Lambda function: records document jobs durably, and answers for them. It does no work itself.

`POST /process-document` records the job as a durable promise and answers 202 once that promise exists; a worker runs it.
Every other call reads or settles promises. `python lambda_function.py job-001` submits an example, as a first try.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from api.callers import Caller, caller
from api.jobs import Jobs
from api.listing import page
from contract import Job, NotASourceError, Sources, Verdict
from durable_lambda.function import Answer
from durable_lambda.function.api import Api
from durable_lambda.function.bodies import job_id as checked
from durable_lambda.function.bodies import wrong_field
from durable_lambda.function.events import synthetic

app = Api()
sources = Sources.of(os.environ)


def jobs() -> Jobs:
    """The calls on this application's jobs."""
    return Jobs(app.promises)


def who() -> Caller | None:
    """The holder of the request's token; None if no token is asked for."""
    return caller(app.event)


@app.post("/process-document")
async def process_document() -> Answer:
    job = app.body(Job)
    app.logger.append_keys(job=job.jobId)
    try:
        sources.check(job.documentUrl)
    except NotASourceError as error:
        raise wrong_field("documentUrl", str(error)) from None
    return await jobs().submit(job, who())


@app.get("/status/<job_id>")
async def status(job_id: str) -> Answer:
    return await jobs().status(checked(job_id), who())


@app.post("/approve/<job_id>")
async def approve(job_id: str) -> Answer:
    return await jobs().approve(checked(job_id), app.body(Verdict), who())


@app.delete("/jobs/<job_id>")
async def cancel(job_id: str) -> Answer:
    return await jobs().cancel(checked(job_id), who())


@app.post("/jobs/<job_id>/retry")
async def retry(job_id: str) -> Answer:
    return await jobs().retry(checked(job_id), who())


@app.get("/jobs")
async def list_jobs() -> Answer:
    return await jobs().listed(*page(app.query), who())


def lambda_handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Answer one event of API Gateway, payload 2.0 or 1.0."""
    return app.handle(event, context)


if __name__ == "__main__":
    print(json.dumps(lambda_handler(*synthetic(sys.argv[1:])), indent=2))  # noqa: T201
    app.promises.close()
