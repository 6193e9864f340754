"""With AUTH=on, S3 asks for signatures. LocalStack runs this inside its own process, before it listens."""

import os
import sys

sys.path.append("/opt/door")
try:
    import door

    door.install(os.environ)
except Exception as error:
    print(f"S3 does not start: {error}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(2)
