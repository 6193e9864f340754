"""The function's side: events in, promises to the server, answers out.

* :mod:`~durable_lambda.function.api`: `Api`, the routes of an application. It needs the extra `function`.
* :mod:`~durable_lambda.function.promises`: the connection to the server; :mod:`~durable_lambda.function.face`: the same
  with the methods of the older SDK. Neither needs more than the library's own dependencies.
* :mod:`~durable_lambda.function.bodies` and :mod:`~durable_lambda.function.events`: reading requests.
* :mod:`~durable_lambda.function.testing`: promises in memory, for an application's unit tests.
"""

from durable_lambda.function.answers import Answer, Refusal

__all__ = ["Answer", "Refusal"]
