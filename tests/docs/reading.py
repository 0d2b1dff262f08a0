"""Which settings the code of a process reads."""

import ast
import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import grimp

from app.core.settings import Settings

# Properties that are made of settings.
_MADE_OF = {
    "database": {"database_url", "database_pooler"},
    "direct_database": {"database_url", "database_pooler", "database_direct_url"},
    "replicate_webhook_secrets": {"replicate_webhook_secret"},
    "metrics_tokens": {"metrics_token"},
    "own_authorities": {"ca_bundle", "ssl_cert_file", "requests_ca_bundle", "aws_ca_bundle"},
    "traces_url": {"otel_exporter_otlp_endpoint", "otel_sdk_disabled"},
    "traces_headers": {"otel_exporter_otlp_headers"},
    "traces_resource": {"otel_resource_attributes"},
    # Each is only valid beside the other.
    "sends_mail": {"smtp_url", "mail_from"},
}
_NAMES = {**{name: {name} for name in Settings.model_fields}, **_MADE_OF}


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("app", "worker")


def settings_read(entries: Iterable[str]) -> set[str]:
    """The settings, in capitals, that these modules or any that they import read."""
    modules = set(entries)
    for entry in entries:
        modules |= _graph().find_upstream_modules(entry)
    return {name.upper() for module in modules - {"app.core.settings"} for name in _read_in(module)}


def _read_in(module: str) -> set[str]:
    specification = importlib.util.find_spec(module)
    assert specification
    assert specification.origin
    tree = ast.parse(Path(specification.origin).read_text())
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    read = [node.attr for node in attributes if node.attr in _NAMES and _is_of_settings(node.value)]
    return {name for attribute in read for name in _NAMES[attribute]}


def _is_of_settings(owner: ast.expr) -> bool:
    match owner:
        case ast.Name(id="settings") | ast.Attribute(attr="settings"):
            return True
        case ast.Call(func=ast.Name(id="load_settings")):
            return True
    return False
