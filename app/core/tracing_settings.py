"""The settings for traces, under OpenTelemetry's own names."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, TypeAlias
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from app.core.secret_checks import header_secret
from app.core.url_checks import http_url

SamplerName: TypeAlias = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]


def _pairs(value: str) -> Mapping[str, str]:
    """The pairs of `NAME=VALUE,NAME=VALUE`, whose values are escaped as in URLs.

    Raises:
        ValueError: a part is no pair.
    """
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError("must be NAME=VALUE, with commas between several")
    return {name.strip(): unquote(found.strip()) for name, _, found in pairs}


def _listed(value: str) -> str:
    _pairs(value)
    return value


def _listed_secret(value: SecretStr) -> SecretStr:
    for found in _pairs(value.get_secret_value()).values():
        header_secret(SecretStr(found))
    return value


class TracingSettings(BaseSettings):
    """Where traces are sent, and which. If no endpoint is set, there are none."""

    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(http_url)] | None = None
    otel_exporter_otlp_headers: Annotated[SecretStr, AfterValidator(_listed_secret)] = SecretStr("")
    otel_service_name: str = ""
    otel_resource_attributes: Annotated[str, AfterValidator(_listed)] = ""
    otel_traces_sampler: SamplerName = "parentbased_always_on"
    otel_traces_sampler_arg: float = Field(default=1, ge=0, le=1)
    otel_sdk_disabled: bool = False

    @cached_property
    def traces_url(self) -> str | None:
        """Where spans are sent; None if they are not wanted."""
        endpoint = self.otel_exporter_otlp_endpoint
        return None if self.otel_sdk_disabled or not endpoint else f"{endpoint}/v1/traces"

    @cached_property
    def traces_headers(self) -> Mapping[str, str]:
        """What is sent with them, such as a key."""
        return _pairs(self.otel_exporter_otlp_headers.get_secret_value())

    @cached_property
    def traces_resource(self) -> Mapping[str, str]:
        """What is said of this process in each of them."""
        return _pairs(self.otel_resource_attributes)
