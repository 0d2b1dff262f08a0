"""How the S3 client sends its requests: through the operator's proxies, and with the operator's authorities.

The client's own way to set these takes one proxy for all hosts of a scheme, and one file with all authorities. So it is
given another session; an event of the client's is where it asks for the response to a request.
"""

import ssl
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import ProxyConfiguration, URLLib3Session

from app.core.outgoing import Outgoing

if TYPE_CHECKING:  # the stubs are not installed in production
    from types_boto3_s3 import S3Client


class _OperatorsProxies(ProxyConfiguration):
    """The proxy of each URL."""

    def __init__(self, outgoing: Outgoing) -> None:
        super().__init__()
        self._outgoing = outgoing
        self._headers: dict[str, dict[str, str]] = {}

    def proxy_url_for(self, url: str) -> str | None:  # type: ignore[override]  # the library returns None, too
        proxy = self._outgoing.proxy_for(url)
        if proxy is None:
            return None
        self._headers[proxy.url] = proxy.headers
        return proxy.url

    def proxy_headers_for(self, proxy_url: str) -> dict[str, str]:
        return self._headers[proxy_url]


class OutgoingSession(URLLib3Session):
    """Sends the requests of one S3 client.

    Args:
        outgoing: says which proxies are asked.
        tls: this library changes the context that it gets, so it is one that others do not use.
        options: those of the library's session.
    """

    def __init__(self, outgoing: Outgoing, tls: ssl.SSLContext, **options: Any) -> None:
        self._tls = tls
        super().__init__(**options)
        self._proxy_config = _OperatorsProxies(outgoing)

    def serve(self, client: "S3Client") -> None:
        """Send the requests of this client from now on."""
        # The stubs know no events whose handlers return something.
        client.meta.events.register("before-send.s3", self._respond)  # type: ignore[arg-type]  # see above

    def _respond(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        response: AWSResponse = self.send(request)
        return response

    def _get_ssl_context(self) -> ssl.SSLContext:
        return self._tls

    def _setup_ssl_cert(self, conn: Any, _url: str, _verify: object) -> None:
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = None  # the context has all authorities

    def _setup_proxy_ssl_context(self, _proxy_url: str) -> ssl.SSLContext:
        return self._tls
