"""From a document's bytes to its text. Runs in a limited process of its own; see `reading.__main__`."""
