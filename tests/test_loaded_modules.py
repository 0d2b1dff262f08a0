"""What a process loads: nothing that only other processes use, or that its settings do not ask for."""

import subprocess
import sys

import pytest

_BEGIN = "import sys; from app.core.settings import Settings; settings = Settings.model_validate({values}); "
_API = _BEGIN + "import app.main, app.cli.serve; app.main.create_app(settings); "
_WORKER = (
    _BEGIN + "import worker.process.main; from app.traces.open import make_tracer; make_tracer(settings, 'worker'); "
)
_PRINT = "print(*sys.modules)"
# Its interfaces alone are loaded by FastAPI.
_OPENTELEMETRY = {"opentelemetry.sdk", "opentelemetry.proto", "google.protobuf"}


def loaded(program: str, **values: str) -> set[str]:
    """The modules that a program has loaded, with these settings."""
    source = program.replace("{values}", repr(values)) + _PRINT
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_api_loads_neither_the_vendors_client_nor_that_of_a_store_it_does_not_use() -> None:
    modules = loaded(_API)

    assert "fastapi" in modules
    assert not {"replicate", "httpx", "boto3", "botocore", "rich", "alembic", "mako"} & modules


@pytest.mark.parametrize("program", [_API, _WORKER], ids=["api", "worker"])
def test_opentelemetry_is_loaded_only_if_there_are_traces(program: str) -> None:
    endpoint = "http://127.0.0.1:4318"

    assert not _OPENTELEMETRY & loaded(program)
    assert not _OPENTELEMETRY & loaded(program, otel_exporter_otlp_endpoint=endpoint, otel_sdk_disabled="true")
    assert loaded(program, otel_exporter_otlp_endpoint=endpoint) >= _OPENTELEMETRY
