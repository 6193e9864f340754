"""The worker's half of the library. An application's whole `worker.py`:

    import workflow
    from durable_lambda.worker import run
    from settings import Settings
    from tools import Tools

    if __name__ == "__main__":
        run(workflow.register, settings=Settings, tools=Tools)

`register(resonate)` makes the workflow's functions known; `Settings` and `Tools` are subclasses of the ones here, or
left out. :mod:`durable_lambda.worker.storage` (S3, with the extra `s3`) and :mod:`durable_lambda.worker.web` are for
tools that need them.
"""

from durable_lambda.deadline import FOREVER
from durable_lambda.faults import Fault
from durable_lambda.worker.durable import JobFailed, Step, pause, run_step
from durable_lambda.worker.isolation import run_limited
from durable_lambda.worker.process import run
from durable_lambda.worker.settings import SettingError, Settings
from durable_lambda.worker.tools import Identified, Tools
from durable_lambda.worker.trouble import Permanent, Transient

__all__ = [
    "FOREVER",
    "Fault",
    "Identified",
    "JobFailed",
    "Permanent",
    "SettingError",
    "Settings",
    "Step",
    "Tools",
    "Transient",
    "pause",
    "run",
    "run_limited",
    "run_step",
]
