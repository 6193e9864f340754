"""Step 3: what the text says, typed by the job's type: by rules of ours, or by a model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from analysis.results import RESULTS
from contract import Job
from isolation import run_limited
from storage import split_uri
from tools import Tools


async def analyze_document(
    tools: Tools, job: Job, document: dict[str, Any], text: dict[str, Any]
) -> dict[str, Any]:
    """Checkpoint: `{"type", "analyzer": {"name", "kind", …}, "analysis": {…}}`; shapes in analysis/results.py."""
    settings = tools.settings
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        await tools.storage.fetch(*split_uri(text["uri"]), path)
        tools.crash_point("analyze_document", "middle")
        if settings.analyzer_model == "local":
            found = await run_limited(
                "analysis", str(path), job.type, text.get("title") or document.get("name") or "",
                seconds=settings.reader_seconds, memory_mb=settings.reader_memory_mb,
            )  # fmt: skip
            analysis = RESULTS[job.type].model_validate(found)
            analyzer: dict[str, Any] = {"name": "local", "kind": "rules"}
        else:
            # Imported by need: the model libraries cost a second and 100 MB, which `local` should not pay.
            from analysis.model import analyze

            analysis, analyzer = await analyze(settings, job.type, path.read_text(encoding="utf-8"))
    return {"type": job.type, "analyzer": analyzer, "analysis": analysis.model_dump(mode="json")}
