"""HTTP without TLS, as the product's programs serve it on this machine."""

import ssl
from typing import Final

# A client that is given none reads all certificates of the system first, which takes longer than most tests.
NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
