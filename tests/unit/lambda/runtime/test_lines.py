"""Lambda's own log lines, as https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html shows them."""

import json

from sandbox.lines import Lines, Report

ID = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
TEXT, JSON = Lines("Text", "python:3.13.5"), Lines("JSON", "python:3.13.5")


def test_report_is_the_documented_line() -> None:
    report = Report(ID, 15.74, 128, 56, init=130.49)
    assert TEXT.end(report) == (
        f"END RequestId: {ID}\n"
        f"REPORT RequestId: {ID}\tDuration: 15.74 ms\tBilled Duration: 147 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 56 MB\tInit Duration: 130.49 ms\n"
    )


def test_report_of_a_failure_names_it() -> None:
    assert TEXT.end(Report(ID, 1, 128, 128, status="error", error="Runtime.OutOfMemory")).endswith(
        "\tStatus: error\tError Type: Runtime.OutOfMemory\n"
    )
    assert TEXT.end(Report(ID, 3000, 128, 30, status="timeout")).endswith("\tStatus: timeout\n")


def test_init_report() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib"""
    assert TEXT.init_report(8.3, "init", "error", "Runtime.ExitError") == (
        "INIT_REPORT Init Duration: 8.30 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n"
    )
    assert TEXT.init_report(10000.04, "init", "timeout", None) == (
        "INIT_REPORT Init Duration: 10000.04 ms\tPhase: init\tStatus: timeout\n"
    )


def test_json_lines_are_platform_events() -> None:
    lines = JSON.start(ID) + JSON.end(Report(ID, 15.74, 128, 56, init=130.49))
    events = [json.loads(line) for line in lines.splitlines()]
    assert [event["type"] for event in events] == [
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert events[2]["record"]["metrics"] == {
        "durationMs": 15.74,
        "billedDurationMs": 147,
        "memorySizeMB": 128,
        "maxMemoryUsedMB": 56,
        "initDurationMs": 130.49,
    }
