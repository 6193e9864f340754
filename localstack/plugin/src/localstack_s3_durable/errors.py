"""What can be wrong.

DurableError
├── UnsupportedVersion   this LocalStack is not the one the plugin was written for
├── DirectoryUnusable    the directory cannot be written, or another process has it
│   └── Damaged          the ledger is not what was written to it
└── FormatUnknown        the directory was written by another version of the plugin
"""


class DurableError(Exception):
    """Says what happened, to what, and what to do next."""


class UnsupportedVersion(DurableError):
    """The plugin relies on internals of one LocalStack version, and runs in another version."""


class DirectoryUnusable(DurableError):
    """The directory cannot be used."""


class Damaged(DirectoryUnusable):
    """The stored data is not what was written, so nothing is answered from it. The error quotes no stored data."""


class FormatUnknown(DurableError):
    """The data on disk is of a format this version does not read."""
