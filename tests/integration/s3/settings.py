"""Kinds of a bucket's configuration that writers set."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One kind of a bucket's configuration: values other than the default, how one is sent, and how it is read."""

    values: list[str]
    wrap: Callable[[str], dict[str, Any]]
    read: Callable[[dict[str, Any]], str]


#: By the end of `put_bucket_…` and `get_bucket_…`.
SETTINGS = {
    "website": Setting(
        ["a.html", "b.html"],
        lambda value: {"WebsiteConfiguration": {"IndexDocument": {"Suffix": value}}},
        lambda answer: answer["IndexDocument"]["Suffix"],
    ),
    "lifecycle_configuration": Setting(
        ["3", "5", "7"],
        lambda value: {
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "ID": "r",
                        "Status": "Enabled",
                        "Filter": {"Prefix": "x"},
                        "Expiration": {"Days": int(value)},
                    }
                ]
            }
        },
        lambda answer: str(answer["Rules"][0]["Expiration"]["Days"]),
    ),
    "logging": Setting(
        ["l/", "m/"],
        lambda value: {
            "BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": "plain", "TargetPrefix": value}}
        },
        lambda answer: answer["LoggingEnabled"]["TargetPrefix"],
    ),
    "request_payment": Setting(
        ["Requester"],
        lambda value: {"RequestPaymentConfiguration": {"Payer": value}},
        lambda answer: answer["Payer"],
    ),
    "accelerate_configuration": Setting(
        ["Enabled", "Suspended"],
        lambda value: {"AccelerateConfiguration": {"Status": value}},
        lambda answer: answer["Status"],
    ),
    "versioning": Setting(
        ["Enabled", "Suspended"],
        lambda value: {"VersioningConfiguration": {"Status": value}},
        lambda answer: answer["Status"],
    ),
    "ownership_controls": Setting(
        ["ObjectWriter", "BucketOwnerPreferred"],
        lambda value: {"OwnershipControls": {"Rules": [{"ObjectOwnership": value}]}},
        lambda answer: answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"],
    ),
    "public_access_block": Setting(
        ["False"],
        lambda value: {
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": False, "IgnorePublicAcls": value == "True"}
        },
        lambda answer: str(answer["PublicAccessBlockConfiguration"]["IgnorePublicAcls"]),
    ),
    "encryption": Setting(
        ["True"],
        lambda value: {
            "ServerSideEncryptionConfiguration": {
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                        "BucketKeyEnabled": value == "True",
                    }
                ]
            }
        },
        lambda answer: str(answer["ServerSideEncryptionConfiguration"]["Rules"][0]["BucketKeyEnabled"]),
    ),
}
