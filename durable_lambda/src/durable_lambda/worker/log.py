"""Logs: one JSON object a line on stdout, with the SDK's messages reduced to those that help a person."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record and whatever was passed as `extra=`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in record.__dict__.items() if k not in _STANDARD})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _takeover(record: logging.LogRecord) -> bool:
    """Turn the stack traces of a lost lease or a cancelled job into one line: both are expected."""
    error = record.exc_info[1] if record.exc_info else None
    causes = getattr(error, "causes", None) or [error]
    codes = {getattr(cause, "code", None) for cause in causes}
    if codes & {404, 409} or "409" in record.getMessage():
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg = "the job is no longer ours (cancelled, finished, or taken over): " + record.getMessage()
        record.args, record.exc_info, record.exc_text = None, None, None
    return True


def configure(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("resonate.validation").setLevel(logging.WARNING)
    for name in ("botocore", "urllib3", "httpx", "aiohttp", "openai", "anthropic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("resonate.core", "resonate.observability"):
        logging.getLogger(name).addFilter(_takeover)
