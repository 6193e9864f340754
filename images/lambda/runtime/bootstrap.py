"""What AWS keeps at /var/runtime/bootstrap.py: the search path as documented, then the runtime interface
client.

The function's code comes first, then layers, then the runtime's own packages, then Python's:
https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-searchpath
"""

import os
import sys

_RUNTIME = os.environ["LAMBDA_RUNTIME_DIR"]
_LAYERS = [f"/opt/python/lib/python3.{sys.version_info.minor}/site-packages", "/opt/python"]
_FIRST = [os.environ["LAMBDA_TASK_ROOT"], *_LAYERS, _RUNTIME]
sys.path[:] = _FIRST + [path for path in sys.path if path not in _FIRST]

if __name__ == "__main__":
    from awslambdaric.__main__ import main

    main(sys.argv)
