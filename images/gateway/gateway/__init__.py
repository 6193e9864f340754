"""API Gateway's HTTP API (:8080) and the Lambda Invoke API (:9000) in front of the execution environments.

    http_api ──┐                       ┌── environments: found by DNS, one request in flight to each
               ├──▶ invoker ──────────▶┤
    lambda_api ┘      ▲                └── POST to a container's front
                      └── delivery ◀── backlog (SQLite): X-Amz-Invocation-Type: Event

With AUTH=on each asks who calls: `authorizer` for tokens, `signatures` for AWS signatures.

It refuses to do: authorizers but JWT, stages beyond one, response streaming, any Lambda API call but Invoke.
"""
