import pytest

from app.core.networks import is_near, shown_url


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("[::1]", True),
        ("0.0.0.0", True),  # noqa: S104 - nothing is bound
        ("10.1.2.3", True),
        ("172.31.0.1", True),
        ("192.168.1.20", True),
        ("100.100.1.1", True),
        ("[fd00::1]", True),
        ("[::ffff:10.0.0.1]", True),
        ("[::ffff:8.8.8.8]", False),
        ("8.8.8.8", False),
        ("172.32.0.1", False),
        # What a proxy for a whole machine gives to names of the internet.
        ("198.18.0.7", False),
        ("[2001:4860:4860::8888]", False),
        ("no-such-name.invalid", False),
    ],
)
async def test_what_is_on_this_machine_or_in_a_private_network_is_near(host: str, expected: bool) -> None:
    assert await is_near(f"http://{host}:8000/v1") is expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:secret@chat.example/v1?code=secret#part", "https://chat.example/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_what_may_be_secret_of_a_url_is_not_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown
