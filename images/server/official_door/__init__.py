"""The door in front of the official server, which itself looks at no `Host` and no `Origin`.

The server listens on loopback, inside its container alone. This listens where clients are, passes on what the rule of all
doors lets through (shared.doors), and holds nothing back: event streams pass as they come. See docs/decisions/0072.

`python -m official_door COMMAND…` runs the server behind it.
"""
