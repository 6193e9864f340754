"""API Gateway's HTTP API (:8080) and the Lambda Invoke API (:9000) in front of the execution environments.

    http_api ──┐                       ┌── environments: found by DNS, one request in flight to each
               ├──▶ invoker ──────────▶┤
    lambda_api ┘      ▲                └── POST to a container's front
                      └── delivery ◀── backlog (SQLite): X-Amz-Invocation-Type: Event

With AUTH=on both check who calls: `authorizer` checks tokens, `signatures` checks AWS signatures.

Not supported: authorizers other than JWT, more than one stage, response streaming, Lambda API calls other than Invoke.
"""
