"""The embedded Resonate server: a drop-in for v0.9.8 on SQLite, for one machine.

Read in this order: `protocol` (what is said), `state` (the rules), `store` (how they become durable),
`delivery` and `timers` (what the server does by itself), `http` (how it is reached).
"""

#: The protocol version spoken, in requests and in answers.
PROTOCOL = "2026-04-01"
