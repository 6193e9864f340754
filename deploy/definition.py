"""The API's definition as CloudFormation and the AWS CLI take it: JSON of api/openapi.yaml on standard output.

Usage: definition.py [--jwt] <api/openapi.yaml     (called by make package, in the gateway's image)

With --jwt every route that says nothing of `security` asks for a token, as the gateway here does with AUTH=on. Issuer
and audience are parameters of deploy/api.yaml. Each operation names the authorizer itself: for an HTTP API only that is
documented. https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authorizer.html
"""

import json
import sys
from typing import Any

import yaml

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"}
AUTHORIZER = {
    "type": "oauth2",
    "x-amazon-apigateway-authorizer": {
        "type": "jwt",
        "identitySource": "$request.header.Authorization",
        "jwtConfiguration": {"issuer": {"Ref": "JwtIssuer"}, "audience": {"Ref": "JwtAudience"}},
    },
}


def guarded(document: dict[str, Any]) -> dict[str, Any]:
    """The document with a JWT authorizer on every route that says nothing of security."""
    if "security" in document:
        return document
    document["components"].setdefault("securitySchemes", {})["jwt"] = AUTHORIZER
    for path in document["paths"].values():
        for method in METHODS & path.keys():
            path[method].setdefault("security", [{"jwt": []}])
    return document


if __name__ == "__main__":
    read = yaml.safe_load(sys.stdin)
    # YAML's aliases are nothing CloudFormation takes, JSON has none.
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
    json.dump(guarded(read) if "--jwt" in sys.argv else read, sys.stdout, indent=1, sort_keys=True)
