# Two images: `server` (the default, for a ClickHouse and a Redis elsewhere) and `dev` (embedded engines, tests, tools).

FROM python:3.13-slim-trixie AS base
ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    VENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH \
    READERSHIP_HOST=0.0.0.0 \
    READERSHIP_DATA_DIR=/data
# A named volume mounted at /data takes this owner.
RUN useradd --uid 10001 --create-home readership \
    && install --directory --owner=readership --group=readership /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('READERSHIP_PORT', '8000') + '/healthz', timeout=2)"]


FROM base AS build
WORKDIR /src
# The build backend goes into this stage's own Python, the service's requirements into the environment that is copied.
COPY requirements/base.txt requirements/build.txt requirements/
RUN python -m venv "$VENV" \
    && "$VENV/bin/pip" install --require-hashes --only-binary :all: -r requirements/base.txt \
    && /usr/local/bin/pip install --require-hashes --only-binary :all: -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY workers workers
COPY clickhouse clickhouse
RUN /usr/local/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && "$VENV/bin/pip" install --no-deps /tmp/wheel/*.whl


FROM base AS dev
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Everything slow depends on the lock only.
COPY requirements requirements
COPY pyproject.toml Makefile README.md LICENSE ./
RUN make dev
COPY --chown=readership:readership . .
RUN chown readership:readership /src
USER readership
CMD ["readership", "serve"]


FROM base AS server
COPY --from=build /opt/venv /opt/venv
WORKDIR /home/readership
USER readership
CMD ["readership", "serve"]
