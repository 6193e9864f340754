# Where the tests of durable_lambda/ run: the workers' runtime with all of the library's optional dependencies.
ARG STACK_IMAGES=durable-lambda
FROM ${STACK_IMAGES}/tools AS tools
FROM ${STACK_IMAGES}/worker
USER root
RUN --mount=type=bind,from=tools,source=/opt,target=/opt \
    --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    --mount=type=cache,id=uv,target=/root/.cache/uv --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    /opt/build-tools/with-index /opt/build-tools/install-lock /app/.venv /tmp/requirements.lock
USER 10001:10001
