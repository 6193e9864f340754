"""One Lambda execution environment: RIE, awslambdaric and the user's function, made to behave as in AWS.

    gateway ──▶ front :8080 ──▶ RIE :8081 ──▶ Runtime API :9001 ──▶ awslambdaric, the function
                                              (freezes, times, measures)

RIE serves the invocation; the Runtime API in between knows what RIE does not say: that the answer is an
error, how long it took, what was logged, that the function is gone. It refuses to do: more than one
invocation at a time, extensions (see docs/decisions/0026), response streaming, SnapStart.
"""
