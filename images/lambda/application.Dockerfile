# An application's function: for the stack (target app) and for AWS (targets packages and image).
# The context is the staged folder of the application's function; base and tools are images of the stack, built before.
ARG PYTHON_IMAGE=python:3.13-slim
ARG STACK_IMAGES=durable-lambda
# What the stack runs the function from: image (as in a container image), zip, or layer (zip and layer).
ARG LAMBDA_FROM=image

# Nothing below the next ARG runs on another processor than this machine's: packages and image for arm64 are put together,
# not emulated.
FROM --platform=$BUILDPLATFORM ${STACK_IMAGES}/tools AS tools

# The dependencies change rarely, so they have layers of their own. Each processor has a stage, so that a stack builds only
# its own.
FROM tools AS dependencies-amd64
COPY requirements.lock /tmp/requirements.lock
RUN --mount=type=cache,id=uv,target=/root/.cache/uv --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    /opt/build-tools/with-index /opt/packaging/install-for amd64 /dependencies /tmp/requirements.lock
FROM tools AS dependencies-arm64
COPY requirements.lock /tmp/requirements.lock
RUN --mount=type=cache,id=uv,target=/root/.cache/uv --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    /opt/build-tools/with-index /opt/packaging/install-for arm64 /dependencies /tmp/requirements.lock
FROM dependencies-${TARGETARCH} AS compiled
RUN cp -r /dependencies /compiled \
    && /opt/uv/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /compiled -p /var/task /compiled

# The packages for both processors: `make package` takes them out of here into dist/.
FROM tools AS packing
COPY --from=dependencies-amd64 /dependencies /dependencies/amd64
COPY --from=dependencies-arm64 /dependencies /dependencies/arm64
ARG SOURCE_DATE_EPOCH
COPY task/ /function/
RUN /opt/uv/bin/python /opt/packaging/packages.py make /function /dependencies/amd64 /packages \
    && /opt/uv/bin/python /opt/packaging/packages.py make /function /dependencies/arm64 /packages -arm64
FROM scratch AS packages
COPY --from=packing /packages /

# The container image for AWS: a base, the function, and AWS's runtime interface client.
# https://docs.aws.amazon.com/lambda/latest/dg/python-image.html#python-image-clients
FROM tools AS managed
ARG TARGETARCH
RUN --mount=type=cache,id=uv,target=/root/.cache/uv --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    /opt/build-tools/with-index /opt/packaging/install-for "$TARGETARCH" /var/runtime /opt/packaging/managed.lock \
    && /opt/uv/bin/python -m compileall -q --invalidation-mode unchecked-hash /var/runtime
FROM ${PYTHON_IMAGE} AS image
COPY --from=managed /var/runtime /var/runtime
COPY --from=compiled /compiled /var/task
COPY task/ /var/task/
ENV PYTHONPATH=/var/runtime LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime
WORKDIR /var/task
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["lambda_function.lambda_handler"]

# The packages, unpacked where Lambda unpacks them.
FROM packing AS unpacked
ARG TARGETARCH
RUN if [ "$TARGETARCH" = arm64 ]; then suffix=-arm64; fi \
    && for made in lambda-package$suffix:/zip/var/task lambda-function:/layer/var/task layer$suffix:/layer/opt; do \
        /opt/uv/bin/python /opt/packaging/packages.py unpack "/packages/${made%%:*}.zip" "${made#*:}" || exit; \
    done

# For the stack: the environment, and the function from one of the three artefacts. The function comes last, so that after
# an edit only one layer is exported.
FROM ${STACK_IMAGES}/lambda AS from-image
COPY --from=compiled /compiled /var/task
COPY task/ /var/task/
FROM ${STACK_IMAGES}/lambda AS from-zip
COPY --from=unpacked /zip/ /
FROM ${STACK_IMAGES}/lambda AS from-layer
COPY --from=unpacked /layer/opt /opt
COPY --from=unpacked /layer/var/task /var/task
FROM from-${LAMBDA_FROM} AS app
