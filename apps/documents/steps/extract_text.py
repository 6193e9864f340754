"""Step 2: reads the document's text in a process of its own, and stores it in the work bucket."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from contract import FAULTS, Job, split_s3
from durable_lambda.worker import run_limited
from steps.keys import text_key
from tools import Tools


class Read(BaseModel):
    """The answer of the reader's process, which is checked because that process is not trusted."""

    characters: int = Field(ge=0)
    pages: int | None = Field(ge=0)
    title: str = Field(max_length=300)


async def extract_text(tools: Tools, job: Job, document: dict[str, Any]) -> dict[str, Any]:
    """Checkpoint: `{"uri", "characters", "pages", "title"}`; pages is null if the format has none."""
    settings = tools.settings
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "document", Path(folder) / "text"
        await tools.storage.fetch(*split_s3(document["uri"]), source)
        await tools.crash_point(job, "extract_text", "middle")
        found = await run_limited(
            "reading", str(source), document["mediaType"], str(target),
            seconds=settings.reader_seconds, memory_mb=settings.reader_memory_mb,
            reads=[source], writes=[target], codes=FAULTS, what="Reading the document",
        )  # fmt: skip
        read = Read.model_validate(found)
        uri = await tools.storage.store(
            settings.work_bucket, text_key(job), target, "text/plain; charset=utf-8"
        )
    return {"uri": uri, **read.model_dump()}
