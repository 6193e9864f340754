"""Usage: python -m confinement                         prints what this kernel lacks, one line for each
python -m confinement PLAN MODULE ARG…        becomes MODULE, confined (see limited.py)
"""

import sys

from . import limited, missing

if sys.argv[1:]:
    limited.main()
else:
    print("\n".join(missing()), end="")  # noqa: T201 - the answer
