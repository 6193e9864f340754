"""Usage: python -m confinement     prints what this kernel lacks to close the reader's process in, a line each"""

from confinement import missing

print("\n".join(missing()), end="")  # noqa: T201 - the answer
