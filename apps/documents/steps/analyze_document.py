"""Step 3: what the text says, typed by the job's type: by rules, or by a model."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import tempfile
from pathlib import Path
from typing import Any

from analysis.results import RESULTS
from contract import FAULTS, Job, split_s3
from durable_lambda.worker import run_limited
from steps.keys import part_key
from tools import Tools


async def analyze_document(
    tools: Tools, job: Job, document: dict[str, Any], text: dict[str, Any]
) -> dict[str, Any]:
    """Checkpoint: `{"analyzer": {"name", "kind", …}, "analysis": {"type", …}}`; shapes in analysis/results.py."""
    settings = tools.settings
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        await tools.storage.fetch(*split_s3(text["uri"]), path)
        await tools.crash_point(job, "analyze_document", "middle")
        if settings.analyzer_model == "local":
            found = await run_limited(
                "analysis", str(path), job.type, text.get("title") or document.get("name") or "",
                seconds=settings.reader_seconds, memory_mb=settings.reader_memory_mb, reads=[path],
                codes=FAULTS, what="Analyzing the text",
            )  # fmt: skip
            analysis = RESULTS[job.type].model_validate(found)
            analyzer: dict[str, Any] = {"name": "local", "kind": "rules"}
        else:
            # Imported only here: the model libraries cost a second and 100 MB, and `local` does not need them.
            model = await asyncio.to_thread(importlib.import_module, "analysis.model")
            analysis, analyzer = await model.analyze(
                settings, job.type, path.read_text(encoding="utf-8"), *_parts(tools, job)
            )
    return {"analyzer": analyzer, "analysis": analysis.model_dump(mode="json")}


def _parts(tools: Tools, job: Job) -> tuple[Any, Any]:
    """Where the model's results for parts of a long document are kept, so that a later try goes on after them."""
    settings = tools.settings
    how = f"{settings.analyzer_model}\n{settings.analyzer_base_url}\n{settings.analyzer_chunk_chars}"
    mark = hashlib.sha256(how.encode()).hexdigest()[:12]

    async def kept(index: int) -> dict[str, Any] | None:
        return await tools.storage.get_json(settings.work_bucket, part_key(job, mark, index))

    async def keep(index: int, value: dict[str, Any]) -> None:
        await tools.storage.put_json(settings.work_bucket, part_key(job, mark, index), value)

    return kept, keep
