"""aiohttp, without the system's CA certificates.

aiohttp reads the system's CA certificates when it is imported, into a TLS context for whoever brings none: 2 MB and a hundredth of a
second. In the operator each session brings the one of its connection, so aiohttp finds no file of certificates
meanwhile. This has to be imported before anything else imports aiohttp.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_FILE: Final = "SSL_CERT_FILE"
"""Where OpenSSL looks for the system's certificates (SSL_CTX_set_default_verify_paths(3))."""


@contextmanager
def _no_certificates() -> Iterator[None]:
    before = os.environ.get(_FILE)
    os.environ[_FILE] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FILE]
        else:
            os.environ[_FILE] = before


with _no_certificates():
    import aiohttp as aiohttp
