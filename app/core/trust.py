"""Whose certificates this server trusts: the authorities that the system knows, and the operator's own."""

import ssl
from collections.abc import Iterable
from pathlib import Path

import certifi


def certificates_file(path: Path) -> Path:
    """The path, if it leads to certificates.

    Raises:
        ValueError: it leads to none that can be read.
    """
    try:
        _add(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)
    except (OSError, ValueError):  # an SSLError is an OSError
        raise ValueError("is not a file of certificates in the form of PEM, or cannot be read") from None
    return path


def tls_context(own: Iterable[Path] = ()) -> ssl.SSLContext:
    """How a client checks the certificates of servers.

    Args:
        own: files with further authorities, or folders as OpenSSL arranges them.
    """
    context = ssl.create_default_context()
    if not _system_has_authorities():
        context.load_verify_locations(certifi.where())
    for path in own:
        _add(context, path)
        # Newer versions of Python ask more of certificates than the standards of old did. Many authorities that
        # companies run for themselves do not meet that, and nobody can replace their certificates.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])
    return context


def _add(context: ssl.SSLContext, path: Path) -> None:
    if path.is_dir():
        context.load_verify_locations(capath=path)
    else:
        context.load_verify_locations(cafile=path)


def _system_has_authorities() -> bool:
    # Both are read from where SSL_CERT_FILE and SSL_CERT_DIR say, if these are set.
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())))
