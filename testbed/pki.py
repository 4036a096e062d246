"""Certificates and kubeconfigs of one cluster: a CA, a serving certificate for loopback, client certificates.

Keys are ECDSA P-256: made in a millisecond, and accepted by every part of Kubernetes (service account tokens
are ES256).
"""

import base64
import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=365)
_SERVING_NAMES = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
_SERVING_ADDRESSES = ["127.0.0.1", "10.96.0.1"]


def create(folder: Path, addresses: Sequence[str] = ()) -> None:
    """Make a CA, a server certificate and the service accounts' key pair (sa.key, sa.pub), as PEM files.

    The server is known by loopback's names and addresses, and by these further `addresses`.

    Does nothing when the last file it writes is there already.
    """
    if (folder / "sa.pub").exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _new_key(folder / "ca.key")
    name = _name("sovereign-testbed")
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(signs_certificates=True), True),
    ]
    _write_certificate(folder / "ca.crt", name, name, key.public_key(), key, extensions)
    issue_server(folder, "server", "kube-apiserver", _SERVING_NAMES, [*_SERVING_ADDRESSES, *addresses])
    service_accounts = _new_key(folder / "sa.key").public_key()
    public = service_accounts.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "sa.pub").write_bytes(public)


def issue_client(folder: Path, stem: str, user: str, groups: Sequence[str]) -> None:
    """Write ``<stem>.crt`` and ``<stem>.key``, which the API server takes for `user`, member of `groups`."""
    _issue(folder, stem, _name(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH, [])


def issue_server(folder: Path, stem: str, name: str, names: Sequence[str], addresses: Sequence[str]) -> None:
    """Write ``<stem>.crt`` and ``<stem>.key`` of a server with these DNS names and addresses."""
    known: list[x509.GeneralName] = [x509.DNSName(one) for one in names]
    known += [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
    _issue(folder, stem, _name(name), ExtendedKeyUsageOID.SERVER_AUTH, known)


def write_kubeconfig(path: Path, server: str, ca: bytes, user: dict[str, Any]) -> None:
    """Write a kubeconfig with one context; `user` is the body of its user entry, `ca` is PEM."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        "current-context": "testbed",
    }
    write_private(path, yaml.safe_dump(document).encode())


def client_entry(folder: Path, stem: str) -> dict[str, str]:
    """The user entry of a kubeconfig for a certificate written by `issue_client`."""
    return {
        "client-certificate-data": base64.b64encode((folder / f"{stem}.crt").read_bytes()).decode(),
        "client-key-data": base64.b64encode((folder / f"{stem}.key").read_bytes()).decode(),
    }


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step with one that only its owner can read."""
    partial = path.with_name(f".{path.name}.partial")
    partial.touch(mode=0o600)
    partial.write_bytes(content)
    partial.replace(path)


def _issue(
    folder: Path,
    stem: str,
    subject: x509.Name,
    usage: x509.ObjectIdentifier,
    names: Sequence[x509.GeneralName],
) -> None:
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    authority_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = _new_key(folder / f"{stem}.key")
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([usage]), False),
    ]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    path = folder / f"{stem}.crt"
    _write_certificate(path, subject, authority.subject, key.public_key(), authority_key, extensions)


def _write_certificate(
    path: Path,
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    signing_key: ec.EllipticCurvePrivateKey,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
    )
    # RFC 5280 wants both; Python 3.13 and later refuse certificates without.
    identifiers: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False),
    ]
    for extension, critical in (*extensions, *identifiers):
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(signing_key, hashes.SHA256())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(path, pem)
    return key


def _name(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
