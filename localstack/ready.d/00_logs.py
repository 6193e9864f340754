"""Keeps the health check, asked every second or two, out of the log. LocalStack does so for its own one only."""

import logging

logging.getLogger("localstack.request.http").addFilter(
    lambda record: "/_localstack/init" not in record.getMessage()
)
