# K2's image: `docker build --tag k2 .`, `docker run k2 --help`. What it installs stands in requirements.lock, by hash;
# at run time it fetches nothing (DuckDB's httpfs is a Python package), and writes to K2_HOME and /tmp alone.
#
# Base: https://github.com/docker-library/docs, python/README.md (read 2026-11-23): python:VERSION-slim-bookworm.

FROM python:3.11.15-slim-bookworm AS build

# faust-streaming has no wheel for arm64: pip compiles it there, with build tools that the lock does not name.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /build
COPY requirements.lock ./
RUN python -m pip wheel --require-hashes --requirement requirements.lock --wheel-dir /wheels

# From here on only those wheels: what K2 needs is installed, its developers' tools are not.
COPY pyproject.toml README.md LICENSE ./
COPY k2app k2app/
COPY agents agents/
COPY tables tables/
COPY web web/
COPY schemas schemas/
RUN python -m venv /opt/k2 \
    && /opt/k2/bin/python -m pip install --no-index --find-links /wheels ".[postgres]" \
    && /opt/k2/bin/python -m pip uninstall --yes pip setuptools


FROM python:3.11.15-slim-bookworm

# A number that is nobody's on the host. Volumes mounted here for the first time take the folders' owner.
RUN groupadd --gid 10001 k2 \
    && useradd --uid 10001 --gid k2 --no-create-home --home-dir /var/lib/k2 --shell /usr/sbin/nologin k2 \
    && install --directory --owner k2 --group k2 /var/lib/k2 /run/k2 \
    && python -m pip uninstall --yes --root-user-action ignore pip setuptools wheel

COPY --from=build /opt/k2 /opt/k2

ENV PATH=/opt/k2/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    K2_HOME=/var/lib/k2

USER 10001:10001
WORKDIR /var/lib/k2
EXPOSE 6066

# Ready: log, catalog and state are there. No proxy is asked, unlike with urllib.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('K2_WEB_PORT', '6066')), timeout=5); c.request('GET', '/health/ready'); sys.exit(c.getresponse().status != 200)"]

# Worker and web server commit, answer and end on SIGTERM.
STOPSIGNAL SIGTERM
ENTRYPOINT ["k2"]
CMD ["worker"]
