"""What the operator can set in the environment or in `.env`. `.env.example` documents every setting."""

import json
import os
import secrets
from collections.abc import Mapping
from email.utils import parseaddr
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from app.core.database_url import SCHEMES as DATABASE_SCHEMES
from app.core.database_url import (
    SCHEMES_WITH_DRIVERS,
    DatabaseAddress,
    database_address,
    database_parameters,
    direct_url_of,
)
from app.core.redis_url import SCHEMES as REDIS_SCHEMES
from app.core.redis_url import redis_parameters
from app.core.secret_checks import header_secret, listed_secret, one_line_secret
from app.core.tracing_settings import TracingSettings
from app.core.trust import certificates_file
from app.core.url_checks import (
    host_or_network,
    http_url,
    llm_url,
    origin,
    proxy_url,
    replicate_url,
    server_url,
    smtp_url,
)


class InvalidSettingsError(Exception):
    """The program cannot start with these settings. The message names each variable that is wrong."""


Origin = Annotated[str, AfterValidator(origin)]
HostOrNetwork = Annotated[str, AfterValidator(host_or_network)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
RedisUrl = Annotated[str, server_url(*REDIS_SCHEMES), AfterValidator(redis_parameters)]
DatabaseUrl = Annotated[
    str, server_url(*DATABASE_SCHEMES, further=SCHEMES_WITH_DRIVERS), AfterValidator(database_parameters)
]
LlmUrl = Annotated[str, AfterValidator(llm_url)]
ReplicateUrl = Annotated[str, AfterValidator(replicate_url)]
SmtpUrl = Annotated[SecretStr, AfterValidator(smtp_url)]
ProxyUrl = Annotated[SecretStr, AfterValidator(proxy_url)]
Authorities = Annotated[Path, AfterValidator(certificates_file)]
HeaderSecret = Annotated[SecretStr, AfterValidator(header_secret)]
ListedSecret = Annotated[SecretStr, AfterValidator(listed_secret)]
OneLine = Annotated[str, AfterValidator(one_line_secret)]
OneLineSecret = Annotated[SecretStr, AfterValidator(one_line_secret)]


# A process that has slept charges what it has used as long as its hold is there, so that this must never be short.
LEAST_METERING_DAYS = 40
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
AddressingStyle = Literal["auto", "path", "virtual"]
OutputLimitName = Literal["max_tokens", "max_completion_tokens"]


def stripped(values: Any) -> Any:
    """The values without white space and quotes around them. One that consists of these counts as not set."""
    if not isinstance(values, dict):
        return values
    texts = {name: _bare(name, value) if isinstance(value, str) else value for name, value in values.items()}
    return {name: value for name, value in texts.items() if value != "" or values[name] == ""}


def _bare(name: str, value: str) -> str:
    """A value without what surrounds it. `docker run --env-file` passes quotes on as they are."""
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    # Anything may be a secret of the operator's own, also what has been one with its quotes so far.
    return value[1:-1].strip() if is_quoted and not name.lower().startswith("secret_key") else value


def check_passwords(base_url: str, key: SecretStr) -> None:
    """Refuse a key for a URL that has a user and a password: both would be sent in the same header."""
    if key.get_secret_value() and urlsplit(base_url).username is not None:
        raise ValueError("cannot be sent with the user and the password in the base URL: leave out one of the two")


class UpstreamSettings(BaseModel):
    """One more OpenAI-compatible server. Entries of the catalog refer to it by its name in `upstream`."""

    base_url: LlmUrl
    api_key: HeaderSecret = SecretStr("")
    output_limit_name: OutputLimitName = "max_tokens"

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: Any) -> Any:
        return stripped(values)

    @model_validator(mode="after")
    def _has_one_password(self) -> Self:
        check_passwords(self.base_url, self.api_key)
        return self


class Settings(TracingSettings):
    """The settings of one process. They are checked once, when it starts."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    database_url: DatabaseUrl = "postgresql://junis:junis@localhost:5432/junis"
    # What stands between this process and Postgres: a pooler in transaction mode keeps nothing between transactions.
    database_pooler: Literal["none", "session", "transaction"] = "none"
    # For what such a pooler cannot do: to listen, and to migrate.
    database_direct_url: DatabaseUrl | None = Field(default=None, validate_default=True)
    database_pool_size: int = Field(default=10, ge=1, le=200)
    redis_url: RedisUrl = "redis://localhost:6379/0"
    public_url: HttpUrl = "http://localhost:8000"
    # Seals what the console leaves in cookies.
    secret_key: OneLineSecret = Field(default_factory=lambda: SecretStr(secrets.token_urlsafe(32)))
    # Opens what it has sealed, and seals nothing, while the key is being changed.
    secret_key_accepted: OneLineSecret = SecretStr("")
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    # The page of the console that shows every part in every state.
    console_kit: bool = False
    cors_allowed_origins: Annotated[frozenset[Origin], NoDecode] = frozenset()
    failed_attempts_per_minute: int = Field(default=20, ge=1, le=100_000)
    # Two of them, separated by a comma, while the token is being changed.
    metrics_token: OneLineSecret = SecretStr("")
    large_bodies_megabytes: int = Field(default=96, ge=24, le=100_000)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # How commands that run as services report; see `app.cli.logged`. The server's own log is always JSON.
    log_format: Literal["auto", "json", "text"] = "auto"
    shutdown_delay_seconds: float = Field(default=3, ge=0, le=300)
    shutdown_grace_seconds: float = Field(default=20, ge=0, le=3600)
    smtp_url: SmtpUrl = SecretStr("")
    mail_from: OneLine = Field(default="", validate_default=True)

    # The names that other programs read, too. Their values may have passwords.
    http_proxy: ProxyUrl = SecretStr("")
    https_proxy: ProxyUrl = SecretStr("")
    all_proxy: ProxyUrl = SecretStr("")
    no_proxy: str = ""
    ca_bundle: Authorities | None = None
    ssl_cert_file: Authorities | None = None
    requests_ca_bundle: Authorities | None = None
    aws_ca_bundle: Authorities | None = None

    storage: Literal["s3", "local"] = "local"
    local_storage_dir: Path = Path(".data/objects")
    s3_endpoint_url: HttpUrl | None = None
    s3_region: str = "us-east-1"
    s3_bucket: str = Field(default="", validate_default=True)
    s3_access_key_id: Annotated[str, AfterValidator(header_secret)] = Field(default="", validate_default=True)
    s3_secret_access_key: HeaderSecret = Field(default=SecretStr(""), validate_default=True)
    s3_public_base_url: HttpUrl | None = None
    s3_presign_endpoint_url: HttpUrl | None = None
    s3_addressing_style: AddressingStyle = "auto"

    llm_base_url: LlmUrl = "https://api.openai.com/v1"
    llm_api_key: HeaderSecret = SecretStr("")
    llm_model: str = Field(default="gpt-4o-mini", min_length=1)
    llm_output_limit_name: OutputLimitName = "max_tokens"
    llm_upstreams: Annotated[dict[str, UpstreamSettings], NoDecode] = Field(default_factory=dict)
    chat_turn_timeout_seconds: float = Field(default=240, gt=0, le=280)
    chat_stream_timeout_seconds: float = Field(default=1800, gt=0)
    # 0: no limit but that of the stream.
    llm_first_event_timeout_seconds: float = Field(default=0, ge=0)
    llm_event_timeout_seconds: float = Field(default=0, ge=0)
    image_prompt_tokens: int = Field(default=2000, ge=0)
    session_active_hours: float = Field(default=24, gt=0)
    # 0: for ever.
    retain_sessions_days: int = Field(default=0, ge=0, le=36_500)
    retain_metering_days: int = Field(default=0, ge=0, le=36_500)
    retain_webhooks_days: int = Field(default=30, ge=0, le=36_500)

    replicate_api_token: HeaderSecret = SecretStr("")
    replicate_base_url: ReplicateUrl = "https://api.replicate.com"
    # Two of them, separated by a comma, while the secret is being changed.
    replicate_webhook_secret: ListedSecret = SecretStr("")
    replicate_creates_per_minute: int = Field(default=600, ge=1)
    replicate_reads_per_minute: int = Field(default=3000, ge=1)
    # None: what Replicate advises, or all of them if it cannot reach this server.
    input_inline_bytes: int | None = Field(default=None, ge=0, le=10 * 1024 * 1024)
    output_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    generation_wait_seconds: float = Field(default=20, ge=0, le=120)
    images_wait_seconds: float = Field(default=240, ge=1, le=600)
    generation_deadline_seconds: float = Field(default=3600, ge=30)
    generation_max_retries: int = Field(default=3, ge=0, le=100)
    max_output_bytes: int = Field(default=5 * 1024**3, ge=1)
    # Of webhooks: names of hosts and networks that organizations may send to although they are not of the internet.
    webhook_private_receivers: Annotated[frozenset[HostOrNetwork], NoDecode] = frozenset()
    worker_concurrency: int = Field(default=20, ge=1, le=500)
    worker_metrics_port: int = Field(default=0, ge=0, le=65_535)
    worker_lease_seconds: float = Field(default=60, ge=5, le=600)
    poll_interval_seconds: float = Field(default=0.5, gt=0)

    @field_validator(
        "output_hosts", "trusted_proxies", "cors_allowed_origins", "webhook_private_receivers", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("llm_upstreams", mode="before")
    @classmethod
    def _decode(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            # Reported like every other bad value. The settings library would end with a traceback.
            raise ValueError("must be a JSON object") from None

    @field_validator("database_direct_url")
    @classmethod
    def _required_beside_a_pooler(cls, value: str | None, info: ValidationInfo) -> str | None:
        url = info.data.get("database_url", "")
        if info.data.get("database_pooler") == "transaction" and value is None and direct_url_of(url) is None:
            raise ValueError("required if DATABASE_POOLER is 'transaction': the server cannot listen through a pooler")
        return value

    @field_validator("llm_api_key")
    @classmethod
    def _is_the_only_password(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        check_passwords(info.data.get("llm_base_url", ""), value)
        return value

    @field_validator("retain_metering_days")
    @classmethod
    def _outlasts_a_month(cls, value: int) -> int:
        if 0 < value < LEAST_METERING_DAYS:
            raise ValueError(f"must be 0 or at least {LEAST_METERING_DAYS}, so that a month that is invoiced is whole")
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_an_address(cls, value: str, info: ValidationInfo) -> str:
        if "@" not in parseaddr(value)[1] and (value or _is_set(info, "smtp_url")):
            raise ValueError("must be an address such as junis@example.com, from which mail is sent by SMTP_URL")
        return value

    @field_validator("s3_bucket", "s3_access_key_id", "s3_secret_access_key")
    @classmethod
    def _required_for_s3(cls, value: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
        # A check of each field, so that what is missing is reported together with what is wrong.
        if info.data.get("storage") == "s3" and not value:
            raise ValueError("required if STORAGE is 's3'")
        return value

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: Any) -> Any:
        return stripped(values)

    @cached_property
    def sends_mail(self) -> bool:
        """Whether there is a server that mail can be sent through."""
        return bool(self.smtp_url.get_secret_value())

    @cached_property
    def own_authorities(self) -> tuple[Path, ...]:
        """The files with the operator's own certificate authorities."""
        named = (self.ca_bundle, self.ssl_cert_file, self.requests_ca_bundle, self.aws_ca_bundle)
        return tuple(dict.fromkeys(path for path in named if path is not None))

    @cached_property
    def replicate_webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that a webhook may be signed with; none if webhooks are not used."""
        parts = self.replicate_webhook_secret.get_secret_value().split(",")
        return tuple(part.strip() for part in parts if part.strip())

    @cached_property
    def metrics_tokens(self) -> tuple[str, ...]:
        """The tokens that show the metrics; none if nobody may see them."""
        token = self.metrics_token.get_secret_value()
        return tuple(filter(None, dict.fromkeys((token, *(part.strip() for part in token.split(","))))))

    @cached_property
    def database(self) -> DatabaseAddress:
        """Where Postgres is, for transactions; perhaps through a pooler."""
        is_told = "database_pooler" in self.model_fields_set
        is_pooled = not is_told and direct_url_of(self.database_url) is not None
        return database_address(self.database_url, is_pooled=is_pooled or self.database_pooler == "transaction")

    @cached_property
    def direct_database(self) -> DatabaseAddress:
        """Where Postgres itself is, for what needs a session of its own: to listen, and to migrate."""
        direct = self.database_direct_url or (direct_url_of(self.database_url) if self.database.is_pooled else None)
        return database_address(direct or self.database_url)


def _is_set(info: ValidationInfo, secret: str) -> bool:
    value = info.data.get(secret)
    return value is not None and bool(value.get_secret_value())


def load_settings() -> Settings:
    """Read and check the settings.

    Raises:
        InvalidSettingsError: names every variable that is missing or wrong, without its value.
    """
    try:
        return Settings(**_proxies_in(os.environ))
    except ValidationError as error:
        lines = [_describe(detail["loc"], detail["msg"]) for detail in error.errors()]
        raise InvalidSettingsError("\n".join(lines)) from None


def _proxies_in(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings for proxies whose names are written in small letters, too.

    As in other programs, these win over the names in capitals. Of the exceptions, both lists hold: Docker may set one,
    and Compose the other.
    """
    small = {name: environment[name] for name in _PROXIES if environment.get(name, "").strip()}
    exceptions = [environment.get(name, "") for name in ("no_proxy", "NO_PROXY")]
    return {**small, "no_proxy": ",".join(exceptions)} if "".join(exceptions).strip() else small


def _describe(location: tuple[int | str, ...], message: str) -> str:
    # Only the reason is shown, because the value may be a secret.
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    setting, *inside = location
    where = ".".join(map(str, inside)) if setting == "llm_upstreams" else ""
    return ": ".join(part for part in (str(setting).upper(), where, text) if part)
