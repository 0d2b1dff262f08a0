import pytest

from worker.transfer.hosts import is_allowed

OTHERS = frozenset({"files.example:9000", "[::1]:8080"})


@pytest.mark.parametrize(
    "url",
    [
        "https://replicate.delivery/a",
        "https://pbxt.replicate.delivery:443/a/out-0.png?b=c#d",
        "https://A.b-c.Replicate.Delivery/a",
        "http://files.example:9000/a",
        "http://[::1]:8080/a",
    ],
)
def test_files_come_from_the_vendor_and_from_the_operators_hosts(url: str) -> None:
    assert is_allowed(url, OTHERS)


@pytest.mark.parametrize(
    "url",
    [
        "http://replicate.delivery/a",
        "https://replicate.delivery:8443/a",
        "https://replicate.delivery.evil.com/a",
        "https://evilreplicate.delivery/a",
        "https://evil.com/replicate.delivery",
        "https://replicate.delivery@evil.com/a",
        "ftp://files.example:9000/a",
        "https://files.example/a",
        "/a",
    ],
)
def test_files_come_from_nowhere_else(url: str) -> None:
    assert not is_allowed(url, OTHERS)


@pytest.mark.parametrize(
    "authority",
    [
        "evil.com%2f.replicate.delivery",
        "127.0.0.1%23.replicate.delivery",
        "user:password@x.replicate.delivery",
        "evil.com\\@x.replicate.delivery",
        "a..replicate.delivery",
        ".replicate.delivery",
        "-a.replicate.delivery",
        "x" * 64 + ".replicate.delivery",
        "x." * 120 + "replicate.delivery",
        "ä.replicate.delivery",
    ],
)
def test_a_host_that_no_name_server_knows_is_not_allowed(authority: str) -> None:
    """It could never be reached, or another parser of URLs could read another host in it."""
    assert not is_allowed(f"https://{authority}/a", OTHERS)
