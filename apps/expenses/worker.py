"""The worker: runs the expense workflow's claims as the server offers them. Usage: python worker.py"""

import workflow
from durable_lambda.worker import run

if __name__ == "__main__":
    run(workflow.register, settings=workflow.Settings, tools=workflow.Tools)
