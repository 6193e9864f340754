"""The document worker's settings, besides those of every worker (:class:`durable_lambda.worker.Settings`)."""

from __future__ import annotations

import base64
from functools import cached_property
from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from contract import Sources
from durable_lambda import worker
from durable_lambda.worker.settings import Count, Delays, Seconds


class Settings(worker.Settings):
    documents_bucket: str = "documents"
    work_bucket: str = "work"
    results_bucket: str = "results"
    #: Buckets that documents may come from besides DOCUMENTS_BUCKET, separated by commas; see contract/sources.py.
    source_buckets: str = ""
    #: The address of S3, if it is not AWS's.
    aws_endpoint_url: str = ""
    aws_endpoint_url_s3: str = ""
    #: Largest document, in MB (10^6 bytes).
    max_document_mb: Count = 50
    #: Seconds a download may take.
    download_seconds: Seconds = 300.0
    #: Limits of the process that reads one document.
    reader_seconds: Count = 60
    reader_memory_mb: Count = 768
    #: `available`: that process is confined by the features that the kernel has, and the log says which are missing;
    #: `required`: the worker does not start if one is missing.
    reader_isolation: Literal["available", "required"] = "available"
    #: `local`, or a pydantic-ai model string.
    analyzer_model: str = "local"
    #: Base URL of an OpenAI-compatible endpoint; only with `openai:` models.
    analyzer_base_url: str = ""
    #: Seconds one call of the model may take.
    analyzer_seconds: Seconds = 120.0
    #: Characters of text in one call of the model; longer documents are read in parts.
    analyzer_chunk_chars: Count = 48_000
    #: Keys of the model's provider, `NAME=value` lines with the names that its library reads them by.
    model_keys: SecretStr = SecretStr("")
    #: Standard Webhooks secret, `whsec_` and base64. Without it nothing is sent to a callbackUrl.
    webhook_secret: SecretStr = SecretStr("")
    #: Seconds between one try of a webhook and the next; their number is the number of retries.
    webhook_retry_seconds: Delays = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)

    @property
    def max_document_bytes(self) -> int:
        return self.max_document_mb * 1_000_000

    @property
    def provider_keys(self) -> dict[str, str]:
        """The keys in `model_keys` by their names."""
        lines = (line.partition("=") for line in self.model_keys.get_secret_value().splitlines())
        return {name.strip(): value.strip() for name, _, value in lines if value.strip()}

    @cached_property
    def sources(self) -> Sources:
        """Where documents may come from."""
        return Sources.of({name.upper(): value for name, value in self if isinstance(value, str)})

    @field_validator("webhook_secret")
    @classmethod
    def _base64(cls, secret: SecretStr) -> SecretStr:
        try:
            base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError("give whsec_ and base64 of the key") from None
        return secret

    @model_validator(mode="after")
    def _own_buckets(self) -> Self:
        for bucket in self.sources.own & (self.sources.allowed | {self.documents_bucket}):
            raise ValueError(
                f"WORK_BUCKET or RESULTS_BUCKET is {bucket!r}, where documents come from as well (DOCUMENTS_BUCKET, "
                "SOURCE_BUCKETS): a job could name another job's text as its document. Give each a bucket of its own."
            )
        return self
