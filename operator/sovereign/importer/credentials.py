"""Credentials as a mounted Kubernetes Secret has them: one file per key in a directory."""

import base64
import binascii
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sovereign.importer.failure import ImportFailure, Reason

_MAX_BYTES = 1 << 20
_PUBLIC = frozenset({"ca.crt", "username", "tls.crt"})
_DOCKER_CONFIG = ".dockerconfigjson"


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and password."""

    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of a Secret. Its values never appear in its representation."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, directory: Path | None) -> "Credentials":
        """Read a mounted Secret; None stands for no credentials.

        Raises:
            ImportFailure: AccessDenied when the directory or a file in it cannot be read.
        """
        if directory is None:
            return cls()
        try:
            # A mounted Secret holds "..data" and the like beside its keys.
            keys = [path for path in directory.iterdir() if not path.name.startswith("..") and path.is_file()]
            return cls({path.name: _read(path) for path in keys})
        except (OSError, UnicodeDecodeError) as error:
            raise ImportFailure(
                Reason.ACCESS_DENIED, f"the credentials in {directory} cannot be read: {type(error).__name__}"
            ) from error

    def get(self, key: str) -> str | None:
        """A value, or None when it is absent or empty."""
        return self.values.get(key) or None

    @property
    def certificate_authority(self) -> str | None:
        """PEM certificates to trust besides the system's (``ca.crt``)."""
        return self.get("ca.crt")

    def login(self) -> Login | None:
        """``username`` and ``password``, if both are there."""
        username, password = self.get("username"), self.get("password")
        return Login(username, password) if username and password else None

    def login_for(self, registry: str) -> Login | None:
        """The login for a registry (``host[:port]``): ``username`` and ``password``, else from ``.dockerconfigjson``."""
        if login := self.login():
            return login
        for server, entry in self._docker_auths().items():
            if server.removeprefix("https://").removeprefix("http://").split("/")[0] == registry:
                return _docker_login(entry)
        return None

    def _docker_auths(self) -> dict[str, dict[str, str]]:
        text = self.get(_DOCKER_CONFIG)
        if text is None:
            return {}
        try:
            auths = json.loads(text)["auths"]
            return {str(server): dict(entry) for server, entry in auths.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ImportFailure(Reason.ACCESS_DENIED, f"{_DOCKER_CONFIG} of the secret is not valid") from error

    def secrets(self) -> frozenset[str]:
        """Every value that must never be printed, those inside ``.dockerconfigjson`` included."""
        found = {value for key, value in self.values.items() if key not in _PUBLIC | {_DOCKER_CONFIG}}
        logins = [self.login()]
        try:
            for entry in self._docker_auths().values():
                found.add(entry.get("auth", ""))
                logins.append(_docker_login(entry))
        except ImportFailure:
            found.add(self.values[_DOCKER_CONFIG])
        for login in filter(None, logins):
            found |= {login.password, f"{login.username}:{login.password}"}
        return frozenset(found - {""})

    def ssl_context(self) -> ssl.SSLContext:
        """A verifying TLS context that trusts the system's authorities and ``ca.crt``.

        Raises:
            ImportFailure: AccessDenied when ``ca.crt`` holds no certificate.
        """
        context = ssl.create_default_context()
        if pem := self.certificate_authority:
            try:
                context.load_verify_locations(cadata=pem)
            except (ssl.SSLError, ValueError) as error:
                raise ImportFailure(Reason.ACCESS_DENIED, "ca.crt of the secret holds no PEM certificate") from error
        return context


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode().strip()


def _docker_login(entry: Mapping[str, str]) -> Login | None:
    if entry.get("username") and entry.get("password"):
        return Login(entry["username"], entry["password"])
    try:
        username, _, password = base64.b64decode(entry.get("auth", ""), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ImportFailure(Reason.ACCESS_DENIED, f"an auth of {_DOCKER_CONFIG} is not valid") from error
    return Login(username, password) if username else None
