"""One Lambda execution environment: RIE, awslambdaric and the user's function, made to behave as in AWS.

    gateway ──▶ front :8080 ──▶ RIE :8081 ──▶ Runtime API :9001 ──▶ awslambdaric, the function
                                              (freezes, times, measures)

RIE serves the invocation. The Runtime API in between finds out what RIE does not report: that the answer is an
error, how long it took, what was logged, that the function is gone. Not supported: more than one
invocation at a time, extensions (see docs/decisions/0026), response streaming, SnapStart.
"""
