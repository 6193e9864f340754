"""A module of a layer, in the other of the two places."""

ANSWER = "from the layer as well"
