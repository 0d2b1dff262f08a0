# One image for the API, the worker, the migrations and the simulator; `docker-compose.yml` says which is which.
# The base of both stages: a tag, or a digest as docs/operations.md shows.
ARG BASE=python:3.13-slim
# It only fetches the console's viewer of 3D models; nothing of it is in the image.
ARG NODE=node:24-slim

FROM ${NODE} AS assets
WORKDIR /srv
COPY frontend frontend
RUN sh frontend/install.sh /srv/vendor

FROM ${BASE} AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /srv/junis
# The dependencies are a layer of their own: it stays as it is until the lock file changes.
COPY pyproject.toml uv.lock ./
# Of the AWS SDK's descriptions of 400 services, which are a sixth of everything, S3's and the sign-in's are used.
RUN uv sync --locked --no-dev --no-group local --extra simulator --no-install-project && chmod 644 .venv/.lock \
    && find .venv/lib/python*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
        ! -name s3 ! -name sts -exec rm -r {} +
# What the project's own metadata names.
COPY README.md LICENSE ./
COPY alembic.ini ./
COPY migrations migrations
COPY simulator simulator
COPY worker worker
COPY app app
COPY --from=assets /srv/vendor app/admin/static/vendor
RUN uv sync --locked --no-dev --no-group local --extra simulator \
    && python -m compileall -q app worker simulator migrations
# The bill of materials: every package of the environment with its version and license. The tool stays in this stage.
RUN uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py environment --pyproject pyproject.toml \
    --output-reproducible --of JSON --output-file sbom.cdx.json .venv

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /var/lib/junis --create-home junis
COPY --from=build /srv/junis /srv/junis
ENV PATH=/srv/junis/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOCAL_STORAGE_DIR=/var/lib/junis/objects
WORKDIR /srv/junis
USER 10001
EXPOSE 8000
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="Junis server" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["junis"]
CMD ["serve"]
