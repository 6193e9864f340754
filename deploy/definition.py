"""The API's definition as CloudFormation and the AWS CLI take it: JSON of the application's openapi.yaml.

Usage: definition.py [--jwt] <openapi.yaml     (called by make package, in the gateway's image)

Without a document on standard input, every path and method leads to the function. In the result the function is
`Function` (deploy/api.yaml), and the API's name is the stack's. With --jwt every route that does not set `security`
asks for a token, as the gateway here does with AUTH=on; issuer and audience are parameters of deploy/api.yaml. Each
operation names the authorizer itself: for an HTTP API only that is documented.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authorizer.html
"""

import json
import re
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
URI = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
#: For an application without an openapi.yaml: one route that takes every request.
EVERYTHING = {
    "openapi": "3.0.3",
    "info": {"version": "1.0.0"},
    "paths": {
        "/$default": {
            "x-amazon-apigateway-any-method": {
                "isDefaultRoute": True,
                "x-amazon-apigateway-integration": {
                    "type": "aws_proxy",
                    "httpMethod": "POST",
                    "payloadFormatVersion": "2.0",
                    "uri": {"Fn::Sub": URI},
                },
            }
        }
    },
}


def for_template(node: Any) -> Any:
    """The same, with the name that deploy/api.yaml gives the function in every integration."""
    if isinstance(node, dict):
        if isinstance(node.get("Fn::Sub"), str):
            return {
                "Fn::Sub": re.sub(
                    r"(:lambda:path/[^$]*/functions/)\$\{\w+\.Arn\}", r"\1${Function.Arn}", node["Fn::Sub"]
                )
            }
        return {key: for_template(value) for key, value in node.items()}
    return [for_template(part) for part in node] if isinstance(node, list) else node


def guarded(document: dict[str, Any]) -> dict[str, Any]:
    """The document with a JWT authorizer on every route that does not set `security`."""
    if "security" in document:
        return document
    document.setdefault("components", {}).setdefault("securitySchemes", {})["jwt"] = AUTHORIZER
    for path in document["paths"].values():
        for method in METHODS & path.keys():
            path[method].setdefault("security", [{"jwt": []}])
    return document


if __name__ == "__main__":
    read = for_template(yaml.safe_load(sys.stdin) or EVERYTHING)
    # It names the HTTP API in AWS, where two applications may be deployed side by side.
    read["info"]["title"] = {"Ref": "AWS::StackName"}
    # As JSON, because CloudFormation takes no YAML aliases.
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
    json.dump(guarded(read) if "--jwt" in sys.argv else read, sys.stdout, indent=1, sort_keys=True)
