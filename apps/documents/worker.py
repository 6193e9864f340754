"""The worker: runs the document workflow's jobs as the server offers them. Usage: python worker.py"""

import workflow
from durable_lambda.worker import run
from settings import Settings
from tools import Tools

if __name__ == "__main__":
    run(workflow.register, settings=Settings, tools=Tools)
