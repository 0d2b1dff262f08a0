import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replicate.webhook import Webhooks, WebhookSigningSecret

from app.predictions.signatures import WebhookSignatureError, verify

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
KEY = bytes(range(24))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(KEY[::-1]).decode()
BODY = b'{"id": "ufawqhfynnddngldkgtslldrkq", "status": "succeeded"}'
FULL_WIDTH_NOW = "".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in str(int(NOW.timestamp())))
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"


def sign(key: bytes = KEY, *, webhook_id: str = ID, at: datetime = NOW, body: bytes = BODY) -> str:
    content = f"{webhook_id}.{int(at.timestamp())}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def headers(signature: str, *, webhook_id: str = ID, at: datetime = NOW) -> dict[str, str]:
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def is_accepted(signed: dict[str, str], *, secrets: Any = (SECRET,), body: bytes = BODY) -> bool:
    try:
        verify(secrets, signed, body, NOW)
    except WebhookSignatureError:
        return False
    return True


def test_a_signed_webhook_is_accepted() -> None:
    assert is_accepted(headers(sign()))


def test_the_example_that_the_vendors_own_client_accepts_is_accepted() -> None:
    signed = headers(sign())
    Webhooks.validate(headers=signed, body=BODY.decode(), secret=WebhookSigningSecret(key=SECRET))

    assert is_accepted(signed)


@pytest.mark.parametrize("signatures", ["{good} {bad}", "{bad} {good}", "v1a,xyz {good}", "v1, {good}", "{good} junk"])
def test_one_valid_signature_of_several_is_enough(signatures: str) -> None:
    signature = signatures.format(good=sign(), bad=sign(KEY[::-1]))

    assert is_accepted(headers(signature))


@pytest.mark.parametrize("secrets", [[OTHER_SECRET, SECRET], [SECRET, OTHER_SECRET], ["whsec_!", SECRET], [SECRET[6:]]])
def test_one_valid_secret_of_several_is_enough(secrets: list[str]) -> None:
    assert is_accepted(headers(sign()), secrets=secrets)


@pytest.mark.parametrize("minutes", [-5, 0, 5])
def test_a_timestamp_may_differ_by_five_minutes_either_way(minutes: int) -> None:
    at = NOW + timedelta(minutes=minutes)

    assert is_accepted(headers(sign(at=at), at=at))


@pytest.mark.parametrize("seconds", [-301, 301, -3600])
def test_a_timestamp_that_differs_by_more_is_refused(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)

    assert not is_accepted(headers(sign(at=at), at=at))


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"webhook-signature": sign(KEY[::-1])},
        {"webhook-signature": sign().replace("v1,", "v2,")},
        {"webhook-signature": sign().removeprefix("v1,")},
        {"webhook-signature": sign().rstrip("=")},
        {"webhook-signature": sign().replace("v1,", "v1,!")},
        {"webhook-signature": ""},
    ],
)
def test_a_header_that_was_changed_is_refused(changed: dict[str, str]) -> None:
    assert not is_accepted({**headers(sign()), **changed})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_is_refused(name: str) -> None:
    signed = headers(sign())
    del signed[name]

    assert not is_accepted(signed)


@pytest.mark.parametrize("webhook_id", ["", "größer", "\ud800"])
def test_a_malformed_id_is_refused(webhook_id: str) -> None:
    signature = sign(webhook_id=webhook_id.replace("\ud800", "?"))

    assert not is_accepted(headers(signature, webhook_id=webhook_id))


@pytest.mark.parametrize(
    "timestamp",
    ["", "x", "-1", "+1772366400", " 1772366400", "1772366400.0", "1_772_366_400", "9" * 5000, FULL_WIDTH_NOW],
)
def test_a_timestamp_that_is_not_a_number_is_refused(timestamp: str) -> None:
    content = f"{ID}.{timestamp}.".encode() + BODY
    signature = "v1," + base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()

    assert not is_accepted({**headers(signature), "webhook-timestamp": timestamp})


def test_a_body_that_was_encoded_again_is_refused() -> None:
    assert not is_accepted(headers(sign()), body=BODY.replace(b": ", b":"))


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_"], ["whsec_%%%"], ["whsec_é"]])
def test_without_a_usable_secret_nothing_is_accepted(secrets: list[str]) -> None:
    """Above all not with an empty secret, with which anybody can sign."""
    assert not is_accepted(headers(sign(b"")), secrets=secrets)


def test_the_refusal_has_a_status_and_a_code() -> None:
    with pytest.raises(WebhookSignatureError) as refused:
        verify([SECRET], {}, BODY, NOW)

    assert (refused.value.status, refused.value.type, refused.value.code) == (
        401,
        "authentication_error",
        "invalid_signature",
    )


@given(
    secrets=st.lists(st.sampled_from([SECRET, "whsec_", ""]) | st.text()),
    signed=st.fixed_dictionaries(
        {},
        optional={
            "webhook-id": st.text(),
            "webhook-timestamp": st.text() | st.just(str(int(NOW.timestamp()))),
            "webhook-signature": st.text() | st.text().map(lambda text: f"v1,{text}") | st.just(sign(body=b"x")),
        },
    ),
    body=st.binary(),
)
def test_malformed_headers_are_refused_without_another_error(
    secrets: list[str], signed: dict[str, str], body: bytes
) -> None:
    with pytest.raises(WebhookSignatureError):
        verify(secrets, signed, body, NOW)


@given(secret=st.binary(min_size=1), webhook_id=st.from_regex(r"[!-~]{1,40}", fullmatch=True), body=st.binary())
def test_any_body_signed_with_the_secret_is_accepted(secret: bytes, webhook_id: str, body: bytes) -> None:
    signed = headers(sign(secret, webhook_id=webhook_id, body=body), webhook_id=webhook_id)

    assert is_accepted(signed, secrets=["whsec_" + base64.b64encode(secret).decode()], body=body)
