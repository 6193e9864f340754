"""The door of the official server: what of a client reaches it, which itself looks at no `Host` and no `Origin`.

The server listens on loopback, inside its container alone; this listens where clients are, passes on what the rule of all
doors lets through (shared.doors), and never holds anything back: event streams pass as they come. Standard library
only. See docs/decisions/0072.

`head` reads requests, `proxy` passes them on, `python -m official_door COMMAND…` runs the server behind both.
"""
