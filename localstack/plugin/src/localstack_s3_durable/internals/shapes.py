"""Attributes of LocalStack's objects: which are kept, which are as in most objects, and an object made of them again."""

from typing import Any

from localstack.aws.api.s3 import BucketCannedACL
from localstack.services.s3.models import S3Object
from localstack.services.s3.utils import get_canned_acl


def fresh(kind: type, state: dict[str, Any]) -> Any:
    """An instance that has just these attributes; its constructor, which would make up an id and a date, not asked."""
    made: Any = object.__new__(kind)
    made.__dict__.update(state)
    return made


def empty() -> dict[str, Any]:
    """Those attributes every object needs one of its own of."""
    return {"user_metadata": {}, "system_metadata": {}, "parts": {}}


def order(versions: dict[str, Any]) -> dict[str, Any]:
    """The versions of a key, oldest first; the newest is the current one."""
    ordered = dict(sorted(versions.items(), key=lambda item: item[1].place))
    *older, newest = ordered.values()
    for version in older:
        version.is_current = False
    newest.is_current = True
    return ordered


def defaults(bucket: Any) -> dict[str, Any]:
    """What most objects of the bucket have in common; shared by them in memory, left out of their rows."""
    plain = vars(
        S3Object(key="", owner=bucket.owner, acl=get_canned_acl(BucketCannedACL.private, owner=bucket.owner))
    )
    own = ("key", "version_id", "is_current", "last_modified", *empty())
    return {field: value for field, value in plain.items() if field not in own}


def trim(s3_object: Any, bucket: Any) -> dict[str, Any]:
    """The object's attributes, without those that have a column and those that are as in most objects."""
    if (template := vars(bucket).get("_defaults")) is None:
        template = bucket._defaults = defaults(bucket)
    columns = ("key", "version_id", "is_current", "last_modified", "place", "blob")
    return {
        field: value
        for field, value in vars(s3_object).items()
        if field not in columns and value != template.get(field, {})
    }
