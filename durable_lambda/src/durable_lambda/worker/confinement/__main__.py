"""Usage: python -m confinement                         prints what this kernel lacks, a line each
python -m confinement PLAN MODULE ARG…        becomes MODULE, closed in (see limited.py)
"""

import sys

from . import limited, missing

if sys.argv[1:]:
    limited.main()
else:
    print("\n".join(missing()), end="")  # noqa: T201 - the answer
