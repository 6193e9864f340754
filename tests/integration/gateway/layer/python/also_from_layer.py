"""A module that a layer brings, in the other of the two places."""

ANSWER = "from the layer as well"
