# An application's worker. The context is the staged folder of the application's worker; base and tools are images of the
# stack, built before.
ARG STACK_IMAGES=durable-lambda

FROM ${STACK_IMAGES}/tools AS tools

FROM ${STACK_IMAGES}/worker AS app
USER root
# The dependencies change rarely, so they have a layer of their own. It is made right here: copying it would take as long again.
RUN --mount=type=bind,from=tools,source=/opt,target=/opt \
    --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    --mount=type=cache,id=uv,target=/root/.cache/uv --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    /opt/build-tools/with-index /opt/build-tools/install-lock /app/.venv /tmp/requirements.lock
# The application and the library with their bytecode (images/tools/applications/staging.py): after an edit only this layer
# is exported.
COPY app/ /app/
USER 10001:10001
