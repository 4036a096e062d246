"""Signing seals, and checking them, with Ed25519 (RFC 8032).

The keys are PEM files, as ``openssl genpkey -algorithm ed25519`` writes them.
"""

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sovereign.evidence.ledger import Seal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class KeyUnusable(Exception):
    """A key file cannot be read, or holds something else than an Ed25519 key."""


def private_key(path: Path) -> "Ed25519PrivateKey":
    """The private key in ``path``.

    Raises:
        KeyUnusable: it cannot be read or is none.
    """
    # Imported here: most installations and commands never sign, and would pay for it at every start.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyUnusable(f"{path} is no private key without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} is no Ed25519 key; make one with `openssl genpkey -algorithm ed25519`")
    return key


def public_key(path: Path) -> "Ed25519PublicKey":
    """The public key in ``path``.

    Raises:
        KeyUnusable: it cannot be read or is none.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise KeyUnusable(f"{path} is no public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{path} is no Ed25519 key; `openssl pkey -in KEY -pubout` writes the public one")
    return key


def signed(seal: Seal, key: "Ed25519PrivateKey") -> Seal:
    """``seal`` with its signature."""
    return msgspec.structs.replace(seal, signature=base64.b64encode(key.sign(seal.statement())).decode())


def holds(seal: Seal, key: "Ed25519PublicKey") -> bool:
    """Whether ``seal`` was signed with the private half of ``key``."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(base64.b64decode(seal.signature, validate=True), seal.statement())
    except (InvalidSignature, binascii.Error):
        return False
    return True
