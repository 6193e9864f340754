"""Everything that uses LocalStack's internals. It is written for LocalStack 4.14.0 and refuses any other version.

LocalStack holds S3 in memory: `s3_stores[account][region].buckets[name]` is an `S3Bucket`, whose `objects` is a
`KeyStore` (or a `VersionedKeyStore`) of `S3Object`s and whose `multiparts` are the uploads under way. LocalStack
goes on working on exactly these. They are made to report what changes in them by being, from the moment they are
put into a store, of subclasses defined here (`reporting`); nothing of LocalStack's is replaced.
"""

from . import version  # noqa: F401 - imported first: it refuses other versions of LocalStack

# isort: split
from .loading import Loading
from .memory import Memory
from .reporting import NULL, listing_after
from .state import report_error

__all__ = ["NULL", "Loading", "Memory", "listing_after", "report_error"]
