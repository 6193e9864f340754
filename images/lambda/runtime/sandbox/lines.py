"""The lines that Lambda itself writes to a function's log: START, END, REPORT, INIT_REPORT, as text or as
JSON.

Text as in https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html, JSON as in
https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html. Durations in ms.
"""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass
class Report:
    """The figures of one invocation. `error` is AWS's error type, for status "error"."""

    request_id: str
    duration: float
    memory: int
    max_memory: int
    init: float | None = None
    status: str = "success"
    error: str | None = None

    @property
    def billed(self) -> int:
        """Whole ms, the Init phase included (billed since August 2025)."""
        return math.ceil(self.duration + (self.init or 0.0))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Lines:
    """Makes the lines in one format: "Text" or "JSON"."""

    def __init__(self, log_format: str, version: str) -> None:
        self._json = log_format == "JSON"
        self._version = version

    def _event(self, kind: str, record: dict[str, Any]) -> str:
        return json.dumps({"time": now(), "type": f"platform.{kind}", "record": record}) + "\n"

    def init_start(self, function: str) -> str:
        if self._json:
            return self._event(
                "initStart",
                {
                    "initializationType": "on-demand",
                    "phase": "init",
                    "runtimeVersion": self._version,
                    "functionName": function,
                    "functionVersion": "$LATEST",
                },
            )
        return f"INIT_START Runtime Version: {self._version}\n"

    def init_report(self, milliseconds: float, phase: str, status: str, error: str | None) -> str:
        """Only for an init that failed, as in AWS."""
        if self._json:
            record: dict[str, Any] = {
                "initializationType": "on-demand",
                "phase": phase,
                "status": status,
                "metrics": {"durationMs": round(milliseconds, 3)},
            }
            return self._event("initReport", record | ({"errorType": error} if error else {}))
        line = f"INIT_REPORT Init Duration: {milliseconds:.2f} ms\tPhase: {phase}\tStatus: {status}"
        return line + (f"\tError Type: {error}" if error else "") + "\n"

    def start(self, request_id: str) -> str:
        if self._json:
            return self._event("start", {"requestId": request_id, "version": "$LATEST"})
        return f"START RequestId: {request_id} Version: $LATEST\n"

    def fault(self, request_id: str, message: str) -> str:
        """A time-out or an exit, which the function itself cannot log."""
        if self._json:
            return (
                json.dumps(
                    {"timestamp": now(), "level": "ERROR", "message": message, "requestId": request_id}
                )
                + "\n"
            )
        return f"{now()} {request_id} {message}\n\n"

    def end(self, report: Report) -> str:
        """END and REPORT; in JSON platform.runtimeDone and platform.report."""
        if self._json:
            outcome: dict[str, Any] = {"requestId": report.request_id, "status": report.status}
            if report.error:
                outcome["errorType"] = report.error
            metrics: dict[str, Any] = {
                "durationMs": round(report.duration, 3),
                "billedDurationMs": report.billed,
                "memorySizeMB": report.memory,
                "maxMemoryUsedMB": report.max_memory,
            }
            if report.init is not None:
                metrics["initDurationMs"] = round(report.init, 3)
            done = outcome | {"metrics": {"durationMs": round(report.duration, 3)}}
            return self._event("runtimeDone", done) + self._event("report", outcome | {"metrics": metrics})
        fields = [
            f"REPORT RequestId: {report.request_id}",
            f"Duration: {report.duration:.2f} ms",
            f"Billed Duration: {report.billed} ms",
            f"Memory Size: {report.memory} MB",
            f"Max Memory Used: {report.max_memory} MB",
        ]
        if report.init is not None:
            fields.append(f"Init Duration: {report.init:.2f} ms")
        if report.status != "success":
            fields.append(f"Status: {report.status}")
        if report.error and report.status == "error":
            fields.append(f"Error Type: {report.error}")
        return f"END RequestId: {report.request_id}\n" + "\t".join(fields) + "\n"
