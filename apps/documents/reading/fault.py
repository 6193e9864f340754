"""Why a document cannot be read. Codes are those of `contract.FAULTS`."""


class Unreadable(Exception):
    """The document cannot be read, now or ever."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
