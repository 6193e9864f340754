"""Durable workflows behind AWS Lambda: the library that both halves of an application import.

:mod:`durable_lambda.function` is the function's side, :mod:`durable_lambda.worker` the worker's. Importing any of it
takes pickle away from the Resonate SDK (:mod:`durable_lambda.sdk`), whichever module makes a client.
"""

from durable_lambda.sdk import refuse_pickle

__version__ = "0.1.0"

refuse_pickle()
