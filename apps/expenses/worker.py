"""The worker: runs the expense workflow's claims as the server offers them. Usage: python worker.py"""

from durable_lambda.worker import run

import workflow

if __name__ == "__main__":
    run(workflow.register, settings=workflow.Settings, tools=workflow.Tools)
