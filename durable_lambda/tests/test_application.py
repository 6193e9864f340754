"""An application's own settings: its pyproject.toml, the ids made with its prefix, and how its jobs fail."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_lambda.application import NoApplicationError, Submit, application
from durable_lambda.faults import Fault, failure_of, failure_text
from durable_lambda.ids import JOB_ID, attempt_of, child_id, job_id_of, root_id, try_id

type Write = Callable[[str], Path]
job_ids = st.from_regex(JOB_ID, fullmatch=True)


def test_what_the_table_says(pyproject: Write) -> None:
    found = application()
    assert (found.name, found.prefix) == ("letters", "letter/")
    assert found.submit == Submit("POST", "/letters", {"letterId": "{id}", "pages": 2})


def test_prefix_and_submit_may_be_left_out(pyproject: Write) -> None:
    pyproject('[tool.durable-lambda]\nname = "bare"\n')
    assert (application().prefix, application().submit) == ("", None)
    assert root_id("a") == "a"
    assert job_id_of("a~2:1") == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not toml", "is not TOML"),
        ("[project]\nname = 'x'\n", r"No pyproject\.toml with a table \[tool\.durable-lambda\]"),
        ("tool = 5\n", r"No pyproject\.toml with a table"),
        ("[tool.durable-lambda]\n", "name must be the Lambda function's name"),
        ("[tool.durable-lambda]\nname = 5\n", "name must be"),
        ("[tool.durable-lambda]\nname = 'a'\npromise-prefix = 'doc'\n", 'such as "doc/"'),
        ("[tool.durable-lambda]\nname = 'a'\npromise-prefix = 'a:/'\n", 'such as "doc/"'),
        ("[tool.durable-lambda]\nname = 'a'\nsubmit = 5\n", "must be a table"),
        ("[tool.durable-lambda]\nname = 'a'\nsubmit = {}\n", 'such as "POST /jobs"'),
        ("[tool.durable-lambda]\nname = 'a'\nsubmit = {call = '/jobs'}\n", 'such as "POST /jobs"'),
        ("[tool.durable-lambda]\nname = 'a'\nsubmit = {call = 'POST /jobs', body = 1}\n", "an example"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(
    pyproject: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, message: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    file = pyproject(text)
    with pytest.raises(NoApplicationError, match=message) as caught:
        application()
    assert str(file.parent) in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job_ids, st.integers(1, 20))
def test_ids_lead_back_to_the_job_and_differ(pyproject: Write, job_id: str, attempt: int) -> None:
    promise = root_id(job_id, attempt)
    assert promise.startswith("letter/")
    assert job_id_of(promise) == job_id_of(f"{promise}:3.1") == job_id
    assert attempt_of(promise) == attempt
    # The server reads the part before the first colon as the workflow; in S3 keys and paths no part may be "." or "..".
    assert ":" not in promise
    assert not re.search(r"(^|/)\.\.?(/|$)", promise)


def test_children_and_tries_are_counted_from_one(pyproject: Write) -> None:
    assert child_id(root_id("a"), 2) == "letter/a:2"
    assert [try_id("letter/a:2", n) for n in (1, 2, 3)] == ["letter/a:2.1", "letter/a:2.3", "letter/a:2.5"]


def test_a_fault_is_read_back_and_anything_else_is_an_internal_error() -> None:
    fault = Fault(step="read", code="encrypted", message="The PDF asks for a password.")
    assert failure_of({"__type": "error", "message": failure_text(fault)}) == fault
    assert failure_of({"message": "KeyError: 'x'"}).code == "internal_error"
    assert failure_of({"message": '{"step": 1}'}).code == "internal_error"
    assert failure_of(None).code == "internal_error"
