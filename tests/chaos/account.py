"""Records what clients were told about each job, and checks that it came true."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import httpx

from harness.documents import OVER, STEPS, job
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import World

#: The statuses with which a request may be refused: those of API Gateway and Lambda when something behind them fails.
REFUSALS = {429, 500, 502, 503, 504}
#: How many seconds a client waits for an answer: longer than the HTTP API waits before its own 503 (30).
PATIENCE = 45


class Account:
    """The record of one run. It is thread-safe; `errors` must be empty at the end."""

    def __init__(self, stack: Stack, world: World | None = None) -> None:
        self.stack = stack
        self.world = world
        self.api = httpx.Client(base_url=stack.api_url, timeout=PATIENCE)
        self.bodies: dict[str, dict[str, Any]] = {}
        #: When each job was first sent, and when it was accepted.
        self.sent: dict[str, float] = {}
        self.accepted: dict[str, float] = {}
        #: How many refusals there were of each status, or "no answer".
        self.refusals: Counter[str] = Counter()
        #: When requests of each kind were in progress, to see which of them a fault hit.
        self.under_way: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.status_answers: list[float] = []
        self.errors: list[str] = []
        self._lock = threading.Lock()

    # ------------------------------------------------------------ requests

    def submit(self, **fields: Any) -> str:
        """Send a new job once; returns its id. `accepted` tells whether it was accepted."""
        body = job(**fields)
        with self._lock:
            self.bodies[body["jobId"]] = body
            self.sent[body["jobId"]] = time.time()
        self.send(body["jobId"])
        return str(body["jobId"])

    def send(self, job_id: str) -> bool:
        """Send a job, for the first time or again."""
        answer = self._request("submit", "POST", "/process-document", json=self.bodies[job_id])
        if answer is None:
            return False
        if answer.status_code != 202 or answer.json() != {"status": "accepted", "jobId": job_id}:
            self._wrong(f"{job_id}: POST answered {answer.status_code} {answer.text[:300]}")
            return False
        with self._lock:
            self.accepted.setdefault(job_id, time.time())
        return True

    def send_all_refused(self, seconds: float) -> None:
        """Send what was refused again, until it is accepted."""
        for job_id in self.bodies.keys() - self.accepted.keys():
            wait_for(lambda job_id=job_id: self.send(job_id), f"{job_id} to be accepted", seconds)  # type: ignore[misc]

    def status(self, job_id: str) -> dict[str, Any] | None:
        """The job's status, or None if the request was refused."""
        known = job_id in self.accepted
        answer = self._request("status", "GET", f"/status/{job_id}")
        if answer is None:
            return None
        if answer.status_code == 404 and not known:
            return None
        if answer.status_code != 200:
            self._wrong(f"{job_id}, accepted: GET answered {answer.status_code} {answer.text[:300]}")
            return None
        with self._lock:
            self.status_answers.append(time.time())
        body: dict[str, Any] = answer.json()
        return body

    def approve(self, job_id: str, seconds: float) -> None:
        """Send an approval again and again until it is answered."""

        def probe() -> bool:
            verdict = {"approved": True, "approver": "a.person"}
            answer = self._request("approve", "POST", f"/approve/{job_id}", json=verdict)
            if answer is not None and answer.status_code != 200:
                self._wrong(f"{job_id}: approve answered {answer.status_code} {answer.text[:300]}")
            return answer is not None

        wait_for(probe, f"{job_id} to be approved", seconds)

    def _request(self, kind: str, method: str, path: str, **options: Any) -> httpx.Response | None:
        begun = time.time()
        try:
            answer = self.api.request(method, path, **options)
        except httpx.TimeoutException:
            self._wrong(f"{method} {path}: no answer within {PATIENCE} s")
            return None
        except httpx.TransportError:
            with self._lock:
                self.refusals["no answer"] += 1
            return None
        finally:
            with self._lock:
                self.under_way[kind].append((begun, time.time()))
        if answer.status_code not in REFUSALS:
            return answer
        with self._lock:
            self.refusals[str(answer.status_code)] += 1
        try:
            answer.json()
        except ValueError:
            self._wrong(f"{method} {path}: {answer.status_code} is no JSON: {answer.text[:200]!r}")
        return None

    def _wrong(self, what: str) -> None:
        with self._lock:
            self.errors.append(what)

    def met(self, kind: str, begin: float, end: float) -> int:
        """How many requests of a kind were in progress at some moment between begin and end."""
        with self._lock:
            return sum(1 for first, last in self.under_way[kind] if first <= end and last >= begin)

    # ------------------------------------------------------------ counting

    def settle(self, seconds: float) -> dict[str, dict[str, Any]]:
        """Wait until every accepted job has ended and every message about it was sent; returns each job's last status.

        A request for approval is a promise of its own, with its own pauses, so it may be sent after its job has ended.
        """
        deadline = time.monotonic() + seconds
        ended: dict[str, dict[str, Any]] = {}
        waited_for = list(self.accepted)

        def probe() -> bool:
            # One after the other: asking for every job all the time would be load on services that are recovering.
            while waited_for:
                seen = self.status(waited_for[-1])
                if seen is None or seen["status"] not in OVER:
                    return False
                ended[waited_for.pop()] = seen
            return True

        try:
            wait_for(probe, "every accepted job to end", seconds, every=0.5)
        except TimeoutError:
            stuck = sorted(self.accepted.keys() - ended.keys())
            self.errors.append(f"{len(stuck)} jobs did not end within {seconds:g} s: {stuck[:10]}")
            self.errors += [f"stuck: {self.status(job_id)}" for job_id in stuck[:3]]
            return ended
        try:
            left = max(0.0, deadline - time.monotonic())
            wait_for(lambda: self.pending() == [], "every promise to be settled", left, every=0.5)
        except TimeoutError as error:
            self.errors.append(f"the jobs have ended, but some of their promises are not settled: {error}")
            self.errors += [f"pending: {promise}" for promise in self.pending()[:3]]
        return ended

    def pending(self) -> list[dict[str, Any]]:
        """The first hundred promises that are still pending on the server."""
        answer = self.stack.resonate("promise.search", state="pending", limit=100)
        if answer["head"]["status"] != 200:
            raise LookupError(answer)
        found: list[dict[str, Any]] = answer["data"]["promises"]
        return found

    def check(self, ended: dict[str, dict[str, Any]]) -> None:
        """Check that every job ended as it would have without faults, with each effect once; anything else is added to
        `errors`.
        """
        objects = self._objects()
        for job_id, seen in ended.items():
            body = self.bodies[job_id]
            wanted = [*STEPS[:3], *(["await_approval"] if body.get("requiresApproval") else []), *STEPS[3:]]
            if seen["status"] != "done" or [step["name"] for step in seen["steps"]] != wanted:
                said = [line for line in self.stack.logs("worker").splitlines() if job_id in line]
                self.errors.append(f"{job_id} is {seen['status']}: {json.dumps(seen)}; its workers: {said}")
                continue
            if {step["state"] for step in seen["steps"]} != {"done"}:
                self.errors.append(f"{job_id} is done, its steps are not: {seen['steps']}")
            expected = {f"work/{job_id}/document", f"work/{job_id}/text.txt"}
            expected |= {f"results/{job_id}/result.json", f"results/{job_id}/report.md"}
            if "callbackUrl" not in body:
                expected.add(f"results/inbox/{body['requesterId']}/{job_id}.job.done.json")
                if body.get("requiresApproval"):
                    asked = f"results/inbox/{body['requesterId']}/{job_id}.job.approval_requested.json"
                    expected.add(asked)
            if objects[job_id] != expected:
                self.errors.append(
                    f"{job_id}: these objects are too many or missing: {sorted(objects[job_id] ^ expected)}"
                )
            self._check_contents(job_id, body)

    def _check_contents(self, job_id: str, body: dict[str, Any]) -> None:
        result = json.load(self.stack.s3.get_object(Bucket="results", Key=f"{job_id}/result.json")["Body"])
        if result["jobId"] != job_id or result["analysis"]["type"] != body["type"]:
            self.errors.append(f"{job_id}: result.json is another job's: {str(result)[:300]}")
        if "callbackUrl" in body and self.world is not None:
            told = Counter(call["headers"]["webhook-id"] for call in self.world.seen(job_id))
            if len(told) != 1:
                self.errors.append(f"{job_id}: its requester was told {dict(told)}")

    def _objects(self) -> dict[str, set[str]]:
        """The objects in the work and results buckets, by job."""
        found: dict[str, set[str]] = defaultdict(set)
        for bucket in ("work", "results"):
            for page in self.stack.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    parts = entry["Key"].split("/")
                    owner = parts[0] if parts[0] != "inbox" else parts[2].partition(".job.")[0]
                    found[owner].add(f"{bucket}/{entry['Key']}")
        return found


def ended_at(seen: dict[str, Any]) -> float:
    """When the job ended, as a Unix time."""
    return datetime.fromisoformat(seen["finishedAt"]).timestamp()


def last_end(ended: dict[str, dict[str, Any]], jobs: Iterable[str]) -> float:
    return max(ended_at(ended[job_id]) for job_id in jobs)
