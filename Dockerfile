# One image for the API, the worker, the migrations and the simulator; `docker-compose.yml` says which is which.

FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /srv/junis
# The dependencies are a layer of their own: it stays as it is until the lock file changes.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-group local --extra simulator --no-install-project
# What the project's own metadata names.
COPY README.md LICENSE ./
COPY alembic.ini ./
COPY migrations migrations
COPY simulator simulator
COPY worker worker
COPY app app
RUN uv sync --locked --no-dev --no-group local --extra simulator \
    && python -m compileall -q app worker simulator migrations

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/junis --create-home junis
COPY --from=build /srv/junis /srv/junis
ENV PATH=/srv/junis/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOCAL_STORAGE_DIR=/var/lib/junis/objects
WORKDIR /srv/junis
USER 10001
EXPOSE 8000
ENTRYPOINT ["junis"]
CMD ["serve"]
