"""Reads an application's folder for the stack: checks it, stages it for the builds, and writes its compose file.

An application is somebody's own code: nothing of it is imported or run here, and the stack knows of it only what these
modules read. Standard library only. They run in the image `tools`, without a network.

    names      which names a function, a bucket, a variable may have
    table      [tool.durable-lambda] and [project] of its pyproject.toml
    code       lambda_function.py and worker.py, parsed and not run
    files      which files of the folder go into which half
    folder     all of that together: one Application, or every problem at once
    staging    the build contexts, and what the services mount
    fragment   the compose file that is added to the stack's own
    locks      whether its locks are up to date, and resolving them with uv
"""
