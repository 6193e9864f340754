# ruff: noqa: E501 - tables, an entry a line
"""The codes that a job can fail with. docs/workflow.md is made from the same table."""

#: code -> what it means, and what to do.
FAULTS: dict[str, str] = {
    "document_not_found": "The object, bucket or page does not exist. Correct documentUrl and submit a new job.",
    "document_not_readable": "The source refuses access (403, or no permission on the bucket). Grant it, then retry.",
    "document_too_large": "The document exceeds MAX_DOCUMENT_MB. Raise the setting or split the document, then retry.",
    "document_empty": "The document has no bytes. Upload it again, then retry.",
    "document_truncated": "The document breaks off before its end. Upload it again, then retry.",
    "document_corrupt": "The document cannot be read in its format. Repair it, then retry.",
    "document_encrypted": "The document is password-protected. Upload it without the password, then retry.",
    "document_without_text": "The document has no text (a scan, or pictures only). Run OCR on it, then retry.",
    "document_too_complex": "Reading the document went over the limits on time or memory. Simplify it, then retry.",
    "media_type_mismatch": "The document's name and its content disagree (a .pdf that is a web page, for instance).",
    "media_type_unsupported": "Not a PDF, DOCX, HTML, Markdown, e-mail or text. Convert it, then submit a new job.",
    "url_not_allowed": "The URL leads to a private address or into a bucket that documents may not come from, or cannot be fetched.",
    "source_unavailable": "The source kept failing for as long as the step tries. Retry when it is back.",
    "storage_unavailable": "S3 kept failing for as long as the step tries. Retry when it is back.",
    "checkpoint_lost": "What an earlier step stored is gone from the work bucket. Submit the job under a new id.",
    "analyzer_unavailable": "The model kept failing for as long as the step tries. Retry when it is back.",
    "analyzer_refused": "The model endpoint refuses the request (key, model name, quota). Correct it, then retry.",
    "analyzer_output_invalid": "The model did not give an answer of the required form. Retry, or use another model.",
    "receiver_unavailable": "The webhook's receiver kept failing for as long as the step tries. The message is in the inbox.",
    "receiver_refused": "The webhook's receiver wants no messages (410), or no secret is set to sign them with.",
    "worker_lost": "The step killed one worker after the other (TASK_TRIES): a crash, or all the memory. Fix it, then retry.",
    "rejected": "The approver said no. A retry asks again.",
    "timed_out": "The job went over its deadline, years after it was submitted.",
    "internal_error": "A fault of the worker itself. The message says which; the worker's log has the trace.",
}
