# The broker without the embedded stack: what is installed is named by hash, what runs is not root, what it writes is one volume.
# Needs of another base: Debian or its like with glibc, Python 3.11 or newer with venv, and useradd.
ARG BASE=python:3.11.16-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements/build.lock requirements/runtime.lock requirements/
# Two environments: tools make the wheel and stay behind, /opt/countersign is copied and holds no installer.
RUN python3 -m venv tools \
    && tools/bin/python -m pip install --quiet --only-binary :all: --require-hashes --requirement requirements/build.lock \
    && python3 -m venv --without-pip /opt/countersign \
    && tools/bin/python -m pip --python /opt/countersign/bin/python install --quiet \
        --only-binary :all: --require-hashes --requirement requirements/runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY terraform/modules terraform/modules
COPY src src
RUN tools/bin/python -m pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir dist . \
    && tools/bin/python -m pip --python /opt/countersign/bin/python install --quiet --no-index --no-deps dist/*.whl \
    && /opt/countersign/bin/countersign --version

FROM ${BASE}
LABEL org.opencontainers.image.title="Countersign" \
      org.opencontainers.image.description="A temporary credential broker: one asks, another signs, the credential dies on the second" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 countersign \
    && useradd --no-log-init --uid 10001 --gid countersign --home-dir /var/lib/countersign --no-create-home \
        --shell /usr/sbin/nologin countersign \
    && install -d -o countersign -g countersign -m 0700 /var/lib/countersign \
    && install -d -m 0755 /etc/countersign
COPY --from=build /opt/countersign /opt/countersign
# The health check reads the same settings as what it checks, whichever half that is. The host stays 127.0.0.1: plain HTTP
# reaches no further than a proxy in the same network namespace.
ENV PATH=/opt/countersign/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COUNTERSIGN_STATE_DIR=/var/lib/countersign \
    COUNTERSIGN_LISTEN_PORT=8440
# Catalog and directory are read as catalog.toml and directory.toml from here, unless the settings say otherwise.
WORKDIR /etc/countersign
USER 10001:10001
VOLUME /var/lib/countersign
EXPOSE 8440
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 \
    CMD ["countersign", "alive"]
ENTRYPOINT ["countersign"]
CMD ["serve"]
