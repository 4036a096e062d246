"""Servers of the importer's tests, one of each kind per test process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.importer import certificates, services
from tests.importer.certificates import Certificates
from tests.importer.harness import Importer
from tests.importer.services import S3Service
from tests.importer.webserver import FileServer, HubServer


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.create(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def _web(pki: Certificates) -> Iterator[FileServer]:
    with FileServer(pki.server_context()) as server:
        yield server


@pytest.fixture
def web(_web: FileServer) -> FileServer:
    """An HTTPS file server with nothing in it."""
    _web.reset()
    return _web


@pytest.fixture(scope="session")
def _hub(pki: Certificates) -> Iterator[HubServer]:
    with HubServer(pki.server_context()) as server:
        yield server


@pytest.fixture
def hub(_hub: HubServer) -> HubServer:
    """A hub with nothing in it."""
    _hub.reset()
    return _hub


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory, pki: Certificates) -> Iterator[S3Service]:
    with services.s3_service(tmp_path_factory.mktemp("s3"), pki) as service:
        yield service


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, pki: Certificates) -> Iterator[str]:
    with services.oci_registry(tmp_path_factory.mktemp("registry"), pki) as address:
        yield address


@pytest.fixture
def importer(tmp_path: Path, pki: Certificates) -> Importer:
    """The importer, with an empty volume and a secret that holds the authority."""
    return Importer(tmp_path, pki.authority)
