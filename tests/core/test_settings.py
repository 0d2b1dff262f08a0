import json
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from app.core.addresses import endpoint
from app.core.settings import InvalidSettingsError, Settings, load_settings
from tests.programs import ROOT

SECRET = "geheim"

BAD = {
    "DATABASE_URL": f"mysql://user:{SECRET}@host/db",
    "DATABASE_POOL_SIZE": f"0{SECRET}",
    "REDIS_URL": f"http://:{SECRET}@host",
    "PUBLIC_URL": f"ftp://{SECRET}",
    "TRUSTED_PROXIES": f"10.0.0.0/8,{SECRET}",
    "CORS_ALLOWED_ORIGINS": f"https://app.example.com,{SECRET}",
    "FAILED_ATTEMPTS_PER_MINUTE": f"{SECRET}",
    "LOG_LEVEL": f"LOUD-{SECRET}",
    "STORAGE": f"tape-{SECRET}",
    "S3_ENDPOINT_URL": f"s3://{SECRET}",
    "S3_PUBLIC_BASE_URL": f"{SECRET}",
    "S3_PRESIGN_ENDPOINT_URL": f"//{SECRET}",
    "LLM_BASE_URL": f"https:/{SECRET}",
    "LLM_OUTPUT_LIMIT_NAME": f"max_{SECRET}",
    "LLM_UPSTREAMS": f'{{"other": {{"base_url": "{SECRET}"}}}}',
    "CHAT_TURN_TIMEOUT_SECONDS": f"281{SECRET}",
    "CHAT_STREAM_TIMEOUT_SECONDS": f"{SECRET}",
    "IMAGE_PROMPT_TOKENS": f"-1{SECRET}",
    "SESSION_ACTIVE_HOURS": f"0{SECRET}",
    "RETAIN_SESSIONS_DAYS": f"{SECRET}",
    "RETAIN_METERING_DAYS": f"{SECRET}",
    "RETAIN_WEBHOOKS_DAYS": f"{SECRET}",
    "REPLICATE_BASE_URL": f"replicate.{SECRET}",
    "HTTP_PROXY": f"ftp://{SECRET}",
    "HTTPS_PROXY": f"http://{SECRET}:none",
    "ALL_PROXY": f"socks5h://ada:{SECRET}@proxy:1080",
    "CA_BUNDLE": f"/no/{SECRET}.pem",
    "SSL_CERT_FILE": f"/no/{SECRET}.pem",
    "REQUESTS_CA_BUNDLE": f"/no/{SECRET}.pem",
    "AWS_CA_BUNDLE": f"/no/{SECRET}.pem",
    "LLM_API_KEY": f"sk-\n{SECRET}",
    "REPLICATE_API_TOKEN": f"r8_\r{SECRET}",
    "REPLICATE_WEBHOOK_SECRET": f"whsec_a,whsec_\r\n{SECRET}",
    "S3_ACCESS_KEY_ID": f"id\t{SECRET}",
    "S3_SECRET_ACCESS_KEY": f"\ufeff{SECRET}",
    "SECRET_KEY": f"a\n{SECRET}",
    "METRICS_TOKEN": f"a\x7f{SECRET}",
    "REPLICATE_CREATES_PER_MINUTE": f"{SECRET}",
    "GENERATION_WAIT_SECONDS": f"{SECRET}",
    "GENERATION_DEADLINE_SECONDS": f"{SECRET}",
    "GENERATION_MAX_RETRIES": f"{SECRET}",
    "INPUT_INLINE_BYTES": f"{SECRET}",
    "MAX_OUTPUT_BYTES": f"{SECRET}",
    "WORKER_CONCURRENCY": f"{SECRET}",
    "POLL_INTERVAL_SECONDS": f"{SECRET}",
}


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a .env, and an environment that sets nothing."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """The error that the operator sees for this environment."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettingsError) as refused:
        load_settings()
    return str(refused.value)


@pytest.mark.parametrize("name", BAD)
def test_the_error_names_the_bad_setting_but_does_not_show_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text = refusal(monkeypatch, **{name: BAD[name]})

    assert {line.partition(":")[0] for line in text.splitlines()} == {name}
    assert SECRET not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "201"),
        ("FAILED_ATTEMPTS_PER_MINUTE", "0"),
        ("CHAT_TURN_TIMEOUT_SECONDS", "281"),
        ("CHAT_TURN_TIMEOUT_SECONDS", "0"),
        ("CHAT_STREAM_TIMEOUT_SECONDS", "-1"),
        ("IMAGE_PROMPT_TOKENS", "-1"),
        ("SESSION_ACTIVE_HOURS", "0"),
        ("RETAIN_SESSIONS_DAYS", "-1"),
        ("RETAIN_METERING_DAYS", "39"),
        ("RETAIN_METERING_DAYS", "-1"),
        ("RETAIN_WEBHOOKS_DAYS", "-1"),
        ("GENERATION_WAIT_SECONDS", "121"),
        ("GENERATION_DEADLINE_SECONDS", "29.9"),
        ("GENERATION_MAX_RETRIES", "-1"),
        ("INPUT_INLINE_BYTES", "10485761"),
        ("MAX_OUTPUT_BYTES", "0"),
        ("WORKER_CONCURRENCY", "501"),
        ("POLL_INTERVAL_SECONDS", "0"),
        ("POLL_INTERVAL_SECONDS", "nan"),
    ],
)
def test_a_number_out_of_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert refusal(monkeypatch, **{name: value}).startswith(f"{name}: ")


def test_a_setting_that_must_be_json_and_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, LLM_UPSTREAMS=f'{{"other": {SECRET}')

    assert text.startswith("LLM_UPSTREAMS: ")
    assert SECRET not in text


@pytest.mark.parametrize("missing", ["S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"])
def test_a_bucket_needs_its_name_and_keys(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    given = {"S3_BUCKET": "b", "S3_ACCESS_KEY_ID": "k", "S3_SECRET_ACCESS_KEY": SECRET, missing: ""}

    text = refusal(monkeypatch, STORAGE="s3", **given)

    assert text == f"{missing}: required if STORAGE is 's3'"


@pytest.mark.parametrize("command", [("app.cli", "serve"), ("worker",)])
def test_a_program_does_not_start_with_bad_settings_and_names_them_all(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**BAD, "PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    reasons = [json.loads(line)["reason"] for line in ended.stderr.splitlines()]
    assert {reason.partition(":")[0] for reason in reasons} == set(BAD)
    assert SECRET not in ended.stderr


def test_a_dotenv_is_read_and_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("S3_BUCKET=from-file\nS3_REGION='from file'\n# LLM_MODEL=no\nLLM_MODEL=\n")
    monkeypatch.setenv("S3_REGION", "from-environment")

    settings = load_settings()

    assert (settings.s3_bucket, settings.s3_region) == ("from-file", "from-environment")
    assert settings.llm_model == Settings.model_fields["llm_model"].default


def test_a_bad_value_in_a_dotenv_causes_the_same_error() -> None:
    Path(".env").write_text(f"PUBLIC_URL={SECRET}\n")

    with pytest.raises(InvalidSettingsError, match=r"^PUBLIC_URL: must be an http") as refused:
        load_settings()
    assert SECRET not in str(refused.value)


def test_a_secret_is_not_shown_when_the_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    forms = {"smtp_url": f"smtp://junis:{SECRET}@mail", "otel_exporter_otlp_headers": f"api-key={SECRET}"}
    for name in secrets:
        monkeypatch.setenv(name.upper(), forms.get(name, SECRET))
    monkeypatch.setenv("MAIL_FROM", "junis@example.com")

    assert len(secrets) >= 8
    assert SECRET not in repr(load_settings())


def test_urls_lose_their_trailing_slash_and_hosts_become_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://junis.example.com/")
    monkeypatch.setenv("OUTPUT_HOSTS", " Files.Example.com , cdn.example.com:8443,")

    settings = load_settings()

    assert settings.public_url == "https://junis.example.com"
    assert settings.output_hosts == {"files.example.com", "cdn.example.com:8443"}


def test_white_space_at_the_ends_of_any_setting_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "DATABASE_URL": "postgresql://app:pw@db/junis",
        "S3_BUCKET": "bucket",
        "SECRET_KEY": SECRET,
        "REPLICATE_API_TOKEN": SECRET,
        "LLM_UPSTREAMS": '{"other": {"base_url": "http://host/v1", "api_key": " key\\n"}}',
        "LOG_LEVEL": "WARNING",
        "WORKER_CONCURRENCY": "7",
        "LLM_API_KEY": "",
    }
    for name, value in texts.items():
        monkeypatch.setenv(name, f" {value}\t\n")

    settings = load_settings()

    assert (settings.database_url, settings.s3_bucket) == ("postgresql://app:pw@db/junis", "bucket")
    assert (settings.log_level, settings.worker_concurrency) == ("WARNING", 7)
    for secret in (settings.secret_key, settings.replicate_api_token):
        assert secret.get_secret_value() == SECRET
    assert settings.llm_upstreams["other"].api_key.get_secret_value() == "key"
    assert settings.llm_api_key.get_secret_value() == ""


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_setting_are_removed_but_from_the_operators_own_secret(
    monkeypatch: pytest.MonkeyPatch, quote: str
) -> None:
    """`docker run --env-file` passes them on as they are."""
    for name, value in {
        "LLM_API_KEY": " key ",
        "LLM_MODEL": "gpt",
        "LOG_LEVEL": "WARNING",
        "SECRET_KEY": SECRET,
    }.items():
        monkeypatch.setenv(name, f" {quote}{value}{quote}\n")
    monkeypatch.setenv("S3_BUCKET", quote)

    settings = load_settings()

    assert settings.llm_api_key.get_secret_value() == "key"
    assert (settings.llm_model, settings.log_level, settings.s3_bucket) == ("gpt", "WARNING", quote)
    assert settings.secret_key.get_secret_value() == f"{quote}{SECRET}{quote}"


def test_what_is_missing_is_reported_together_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, STORAGE="s3", S3_BUCKET="b", PUBLIC_URL=SECRET, LOG_LEVEL=SECRET)

    assert {line.partition(":")[0] for line in text.splitlines()} == {
        "S3_ACCESS_KEY_ID",
        "S3_SECRET_ACCESS_KEY",
        "PUBLIC_URL",
        "LOG_LEVEL",
    }


@pytest.mark.parametrize(("name", "scheme"), [("DATABASE_URL", "postgresql"), ("REDIS_URL", "redis")])
@pytest.mark.parametrize(
    "password", ["12#geheim", "12/geheim", "12?geheim", "geheim%", "geheim%zz", "geheim#", "[geheim"]
)
def test_a_password_that_is_not_escaped_is_told_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, scheme: str, password: str
) -> None:
    text = refusal(monkeypatch, **{name: f"{scheme}://app:{password}@host/0"})

    assert text.startswith(f"{name}: ")
    assert "in a password, write / as %2F, # as %23, ? as %3F, @ as %40, % as %25" in text
    assert SECRET not in text


@pytest.mark.parametrize("password", ["a:b", "a%40b%2Fc%25", "a!$&'()*+,;=~._-b"])
def test_a_password_that_is_escaped_is_accepted(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:{password}@host/junis")

    assert password in load_settings().database_url


@pytest.mark.parametrize(
    ("written", "origins"),
    [
        ("", set()),
        ("*", {"*"}),
        ("https://app.example.com", {"https://app.example.com"}),
        ("HTTPS://App.Example.com/ , http://localhost:3000", {"https://app.example.com", "http://localhost:3000"}),
        ("https://a.example:443,http://b.example:80", {"https://a.example", "http://b.example"}),
        ("chrome-extension://abcdef,capacitor://localhost", {"chrome-extension://abcdef", "capacitor://localhost"}),
    ],
)
def test_origins_are_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch, written: str, origins: set[str]) -> None:
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", written)

    assert load_settings().cors_allowed_origins == origins


@pytest.mark.parametrize(
    "written", ["a.example", "https://a.example/path", "https://*.example.com", "null", "https://"]
)
def test_what_no_browser_sends_is_no_origin(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    assert "CORS_ALLOWED_ORIGINS: must be * or origins" in refusal(monkeypatch, CORS_ALLOWED_ORIGINS=written)


@pytest.mark.parametrize(
    "written",
    ["10.0.0.1/8", "https://hooks.test", "hooks.test:8443", "hooks.test/x", "*.hooks.test", "127.1", "a, b c"],
)
def test_what_no_receiver_of_webhooks_could_be_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    error = refusal(monkeypatch, WEBHOOK_PRIVATE_RECEIVERS=written)

    assert error.startswith("WEBHOOK_PRIVATE_RECEIVERS: must be names of hosts, addresses or networks")


def test_receivers_of_webhooks_are_hosts_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_PRIVATE_RECEIVERS", "Hooks.test, 10.0.0.0/8, [::1], fd00::/8, 192.0.2.7")

    allowed = load_settings().webhook_private_receivers
    assert allowed == {"hooks.test", "10.0.0.0/8", "[::1]", "fd00::/8", "192.0.2.7"}


@pytest.mark.parametrize("name", ["PUBLIC_URL", "LLM_BASE_URL", "REPLICATE_BASE_URL", "S3_ENDPOINT_URL", "HTTP_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "http://host\n.test/v1",
        "http://host /v1",
        "http://host:0",
        "http://host:port",
        "http://host:+80",
        "http://host/v1#a",
        "http:///v1",
    ],
)
def test_a_url_that_libraries_would_read_differently_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert refusal(monkeypatch, **{name: value}).startswith(f"{name}: ")


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_white_space_inside_a_stores_url_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    scheme = "redis" if name == "REDIS_URL" else "postgresql"

    text = refusal(monkeypatch, **{name: f"{scheme}://app:{SECRET}\n@host/0"})

    assert text == f"{name}: has white space inside"


@pytest.mark.parametrize("name", ["PUBLIC_URL", "REPLICATE_BASE_URL", "S3_ENDPOINT_URL", "S3_PUBLIC_BASE_URL"])
def test_a_query_is_refused_if_it_could_not_be_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert refusal(monkeypatch, **{name: f"https://host.test/a?key={SECRET}"}) == (
        f"{name}: must be a URL without a query, which begins with a ?"
    )


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("https://host.test/v1", "https://host.test/v1/chat/completions"),
        ("https://host.test/v1/", "https://host.test/v1/chat/completions"),
        ("https://host.test", "https://host.test/chat/completions"),
        ("https://host.test/v1/chat/completions", "https://host.test/v1/chat/completions"),
        ("https://host.test/v1/chat/completions/", "https://host.test/v1/chat/completions"),
        ("https://host.test/d?api-version=1", "https://host.test/d/chat/completions?api-version=1"),
        ("https://host.test/d/?a=%2F&b=/", "https://host.test/d/chat/completions?a=%2F&b=/"),
        ("https://host.test/d/chat/completions?a=1", "https://host.test/d/chat/completions?a=1"),
        ("http://[fd00::1]:8080/v1", "http://[fd00::1]:8080/v1/chat/completions"),
    ],
)
def test_a_chat_models_url_may_have_a_query_and_the_path_that_is_added(
    monkeypatch: pytest.MonkeyPatch, given: str, asked: str
) -> None:
    monkeypatch.setenv("LLM_BASE_URL", given)
    monkeypatch.setenv("LLM_UPSTREAMS", json.dumps({"other": {"base_url": given}}))

    settings = load_settings()

    for base_url in (settings.llm_base_url, settings.llm_upstreams["other"].base_url):
        assert endpoint(base_url, "chat/completions") == asked


def test_the_version_of_replicates_api_may_be_part_of_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_BASE_URL", "https://api.replicate.com/v1/")

    assert load_settings().replicate_base_url == "https://api.replicate.com"


def test_a_key_beside_a_password_in_the_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = {"base_url": f"http://ada:{SECRET}@host", "api_key": SECRET}

    text = refusal(
        monkeypatch, LLM_BASE_URL=upstream["base_url"], LLM_API_KEY=SECRET, LLM_UPSTREAMS=json.dumps({"a": upstream})
    )

    assert [line.partition(": cannot be sent")[0] for line in text.splitlines()] == ["LLM_API_KEY", "LLM_UPSTREAMS: a"]
    assert SECRET not in text


@pytest.mark.parametrize("key", ["a\nb", "sch\u00fcssel", "a\u200b"])
def test_a_key_of_another_upstream_is_named_if_no_header_can_hold_it(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    text = refusal(monkeypatch, LLM_UPSTREAMS=json.dumps({"other": {"base_url": "http://host", "api_key": key}}))

    assert text.startswith("LLM_UPSTREAMS: other.api_key: has a line break")


def test_proxies_may_be_written_in_small_letters_which_win(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.setenv(name, f"capitals.{name.partition('_')[0].lower()}:1")
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.setenv(name, f"small.{name.partition('_')[0]}:2")

    settings = load_settings()

    assert [
        secret.get_secret_value() for secret in (settings.http_proxy, settings.https_proxy, settings.all_proxy)
    ] == [
        "http://small.http:2",
        "http://capitals.https:1",
        "http://small.all:2",
    ]
    assert settings.no_proxy == "small.no:2,capitals.no:1"


@pytest.mark.parametrize("password", ["p/w", "p#w", "p?w", "p%w"])
def test_a_proxys_password_must_be_escaped(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    text = refusal(monkeypatch, HTTPS_PROXY=f"http://ada:{SECRET}{password}@proxy.test:3128/")

    assert text.startswith("HTTPS_PROXY: ")
    assert SECRET not in text


def test_authorities_are_files_of_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty, folder = tmp_path / "empty.pem", tmp_path / "folder"
    empty.write_text("no certificate")
    folder.mkdir()
    good = tmp_path / "good.pem"
    trustme.CA().cert_pem.write_to_path(str(good))

    text = refusal(monkeypatch, CA_BUNDLE=str(empty), SSL_CERT_FILE=str(folder), AWS_CA_BUNDLE=str(good))
    monkeypatch.setenv("CA_BUNDLE", str(good))

    assert text == "CA_BUNDLE: is not a file of certificates in the form of PEM, or cannot be read"
    assert load_settings().own_authorities == (good, folder)


@pytest.mark.parametrize(
    ("value", "tokens"),
    [("", ()), ("one", ("one",)), ("new, old", ("new, old", "new", "old")), ("one,", ("one,", "one")), (",", (",",))],
)
def test_two_tokens_show_the_metrics_and_an_empty_one_never_does(value: str, tokens: tuple[str, ...]) -> None:
    assert Settings.model_validate({"metrics_token": value}).metrics_tokens == tokens
