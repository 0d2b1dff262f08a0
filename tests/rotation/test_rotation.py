"""Every block of docs/rotation.md, run as it is written while customers keep asking: no request may fail."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import asyncpg
import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from tests.cli.databases import query
from tests.native_compose.stack import NativeStack
from tests.rotation.page import marked
from tests.rotation.traffic import Customer, traffic

SECRETS = tuple(marked())


def value_of(stack: NativeStack, name: str) -> str:
    return stack.shell(f"sh deploy/env.sh get {name}").strip()


def is_refused_by_postgres(stack: NativeStack, old: str, role: str) -> bool:
    address = stack.shell("docker compose port postgres 5432").strip()
    try:
        query(f"postgresql://{role}:{old}@{address}/junis", "SELECT 1")
    except asyncpg.InvalidAuthorizationSpecificationError:  # a wrong password is one
        return True
    return False


def shows_metrics(stack: NativeStack, token: str) -> bool:
    response = httpx.get(f"{stack.url}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    return response.status_code == 200


def is_refused_by_redis(stack: NativeStack, old: str) -> bool:
    told = stack.shell(f"echo 'AUTH {old}' | docker compose exec -T redis valkey-cli || true")
    return "WRONGPASS" in told or "invalid" in told


def is_refused_by_the_store(stack: NativeStack, old: str, old_id: str) -> bool:
    address = stack.shell("docker compose port objects 8333").strip()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        region_name="us-east-1",
        aws_access_key_id=old_id,
        aws_secret_access_key=old,
    )
    try:
        client.list_objects_v2(Bucket="junis")
    except ClientError as error:
        return str(error.response["Error"]["Code"]) in {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"}
    return False


def revoke(stack: NativeStack, old: str) -> bool:
    """Have the vendor refuse the old one. What is asked afterwards shows that nobody uses it."""
    return httpx.post(f"{stack.vendors_url}/_sim/revoked", json={"token": old}).status_code == 204


def _is_unset(stack: NativeStack, old: str) -> bool:
    return old not in (stack.folder / ".env").read_text()


_ENDS: Mapping[str, Callable[[NativeStack, str], bool]] = {
    "SERVER_DATABASE_PASSWORD": partial(is_refused_by_postgres, role="junis_server"),
    "POSTGRES_PASSWORD": partial(is_refused_by_postgres, role="junis"),
    "REDIS_PASSWORD": is_refused_by_redis,
    "REPLICATE_API_TOKEN": revoke,
    "LLM_API_KEY": revoke,
    "METRICS_TOKEN": lambda stack, old: not shows_metrics(stack, old),
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_changed_and_no_request_fails(
    stack: NativeStack, customer: Customer, files: Path, secret: str
) -> None:
    old, old_id = value_of(stack, secret), value_of(stack, "S3_ACCESS_KEY_ID")
    began = time.monotonic()

    with traffic(customer) as seen:
        printed = "".join(stack.shell(code) for code, is_away in marked()[secret] if not is_away)
        assert _ENDS.get(secret, _is_unset)(stack, old)
    took = time.monotonic() - began
    for code, is_away in marked()[secret]:
        if is_away:
            stack.shell(code)
            assert is_refused_by_the_store(stack, old, old_id)
    with traffic(customer) as afterwards:
        pass

    print(f"\n{secret}: {took:.0f} s, {sum(seen.answered.values())} requests: {dict(seen.answered)}")  # noqa: T201

    assert secret != "SECRET_KEY" or "Sealed again: 1\n" in printed
    assert seen.failures == afterwards.failures == {}
    assert {"chats", "streams", "picture", "file", "page", "list"} <= set(seen.answered)
    assert value_of(stack, secret) != old
