"""The sources of weights, one module per protocol. Clients are imported only when their protocol is used."""

from urllib.parse import urlsplit

from sovereign.importer.credentials import Credentials
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.settings import Settings
from sovereign.importer.source import Source

SCHEMES = ("s3", "hf", "https", "http", "oci", "file")


def open_source(settings: Settings, credentials: Credentials) -> Source:
    """Make the client for a source; nothing is sent yet.

    Raises:
        ImportFailure: SourceInvalid for a URI that cannot be meant, EndpointRequired.
    """
    parts = urlsplit(settings.source)
    if "@" in parts.netloc:
        raise ImportFailure(
            Reason.SOURCE_INVALID,
            "the source's URI holds credentials: put them into a secret and name it instead",
        )
    match parts.scheme:
        case "s3":
            from sovereign.importer.sources.s3 import S3Source

            return S3Source.open(settings, credentials)
        case "hf":
            from sovereign.importer.sources.hub import HubSource

            return HubSource.open(settings, credentials)
        case "https" | "http":
            from sovereign.importer.sources.web import WebSource

            return WebSource.open(settings, credentials)
        case "oci":
            from sovereign.importer.sources.oci import OciSource

            return OciSource.open(settings, credentials)
        case "file":
            from sovereign.importer.sources.directory import DirectorySource

            return DirectorySource.open(settings)
    raise ImportFailure(Reason.SOURCE_INVALID, f"the source must be one of {', '.join(s + '://' for s in SCHEMES)}")
