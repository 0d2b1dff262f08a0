"""Which proxy a request goes through."""

import pytest

from app.core.proxies import Proxies, Proxy

HTTP, HTTPS, ALL = "http://http.proxy:1", "http://https.proxy:2", "https://all.proxy:3"


def proxy_of(url: str, *, http: str = "", https: str = "", all_others: str = "", no_proxy: str = "") -> str | None:
    """The URL of the proxy that is asked for a URL."""
    proxy = Proxies.of(http, https, all_others, no_proxy).for_url(url)
    return proxy.url if proxy else None


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("http://a.test/v1", {"http": HTTP, "https": HTTPS, "all_others": ALL}, HTTP),
        ("https://a.test/v1", {"http": HTTP, "https": HTTPS, "all_others": ALL}, HTTPS),
        ("https://a.test/v1", {"http": HTTP, "all_others": ALL}, ALL),
        ("http://a.test/v1", {"all_others": ALL}, ALL),
        ("HTTPS://a.test/v1", {"https": HTTPS}, HTTPS),
        ("https://a.test/v1", {"http": HTTP}, None),
        ("http://a.test/v1", {}, None),
    ],
)
def test_the_scheme_decides_which_proxy_is_asked(url: str, given: dict[str, str], expected: str | None) -> None:
    assert proxy_of(url, **given) == expected


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("*", "a.test"),
        ("a.test", "a.test"),
        ("a.test", "b.a.test"),
        (".a.test", "b.a.test"),
        (".a.test", "a.test"),
        ("*.a.test", "c.b.a.test"),
        ("A.Test", "a.TEST"),
        ("x, a.test", "a.test"),
        ("x a.test", "a.test"),
        ("a.test", "a.test."),
        ("a.test:80", "a.test"),
        ("a.test:8080", "a.test:8080"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.1.2.3/8", "10.9.9.9"),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]"),
        ("10.1.2.3:8080", "10.1.2.3:8080"),
        ("fd00::/8", "[fd00::1]"),
        ("fd00::1", "[fd00:0:0::1]"),
        ("[fd00::1]", "[fd00::1]:8080"),
        ("[fd00::1]:8080", "[fd00::1]:8080"),
        ("minio", "minio:9000"),
        ("http://a.test/", "a.test"),
        ("x;a.test", "a.test"),
        ("x|a.test", "a.test"),
        ('"x,a.test"', "a.test"),
        ("'a.test'", "a.test"),
        ("10.*", "10.1.2.3"),
        ("10.", "10.1.2.3"),
        ("192.168.1.*", "192.168.1.7"),
        # This machine is never meant.
        ("", "localhost:9000"),
        ("", "simulator.localhost"),
        ("", "127.0.0.1:9000"),
        ("", "127.8.8.8"),
        ("", "[::1]:9000"),
    ],
)
def test_an_exception_is_asked_directly(no_proxy: str, host: str) -> None:
    assert proxy_of(f"http://{host}/v1", all_others=ALL, no_proxy=no_proxy) is None


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("", "a.test"),
        ("a.test", "ba.test"),
        ("b.a.test", "a.test"),
        ("test:", "a.test"),
        ("a.test:8080", "a.test"),
        ("a.test:8080", "a.test:80"),
        ("a.*", "a.test"),
        ("10.0.0.0/8", "11.1.2.3"),
        ("10.1.2.3", "110.1.2.3"),
        ("10.0.0.0/8", "10.test"),
        ("10.0.0.0/99", "10.1.2.3"),
        ("1.2.3", "9.1.2.3"),
        ("fd00::/8", "[fe80::1]"),
        ("[fd00::1]:8080", "[fd00::1]"),
        ("10.*", "11.1.2.3"),
        ("10.", "110.1.2.3"),
        ("10.*", "10.test"),
        (",,  ,:,[]", "a.test"),
        ("localhost", "localhost.test"),
        ("", "127.0.0.1.test"),
    ],
)
def test_others_go_through_the_proxy(no_proxy: str, host: str) -> None:
    assert proxy_of(f"http://{host}/v1", all_others=ALL, no_proxy=no_proxy) == ALL


def test_a_proxys_password_is_apart_from_its_address_and_is_not_shown() -> None:
    proxy = Proxy.at("http://ada:p%40ss%3A@proxy.test:3128")

    assert proxy.url == "http://proxy.test:3128"
    assert proxy.headers == {"Proxy-Authorization": "Basic YWRhOnBAc3M6"}
    assert "YWRh" not in repr(Proxies({"http": proxy}))
    assert Proxy.at("http://ada@proxy.test").headers == {"Proxy-Authorization": "Basic YWRhOg=="}
    assert Proxy.at("http://[fd00::1]:3128").headers == {}
