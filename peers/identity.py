"""The node's key and certificate. The certificate is its own trust anchor: it carries the key, and no name.

Nobody vouches for it: a peer is known by the hash of its key, which the owner confirmed when pairing.
Its dates are wide open, so that a wrong clock never parts two devices.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from peers import node_id
from peers.errors import IdentityError, RemoteProtocolError
from peers.node_id import NodeId
from peers.private_files import write_whole

KEY_FILE = "key.pem"
CERTIFICATE_FILE = "certificate.pem"
MAX_CERTIFICATE_BYTES = 2048
"""Ours has about 400; a larger one is refused before it is parsed."""
MAX_PEM_BYTES = 16 * 1024
_NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
"""RFC 5280, 4.1.2.5: no date at which it ends."""
_ECDSA = ec.ECDSA(hashes.SHA256())


class PublicIdentity:
    """Somebody's certificate, parsed and checked: who it is, and whether that node signed something."""

    def __init__(self, certificate_der: bytes) -> None:
        """Raises RemoteProtocolError when this is no certificate of a Covey node."""
        self.certificate_der = certificate_der
        self._key = _key_of(certificate_der)
        self.node_id = node_id.of_key(_public_der(self._key))

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Return whether this node signed the data."""
        try:
            self._key.verify(signature, data, _ECDSA)
        except InvalidSignature:
            return False
        return True


class Identity:
    """This node's key. Its repr shows the id alone."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate_der: bytes, folder: Path) -> None:
        self._key = key
        self.public = PublicIdentity(certificate_der)
        self.key_file = folder / KEY_FILE
        self.certificate_file = folder / CERTIFICATE_FILE
        if self.public.node_id != node_id.of_key(_public_der(key.public_key())):
            raise IdentityError(
                f"{self.certificate_file} does not belong to the key beside it. Put back the right one, or move the "
                f"folder {folder} away and pair this device anew."
            )

    @property
    def node_id(self) -> NodeId:
        return self.public.node_id

    @property
    def certificate_der(self) -> bytes:
        return self.public.certificate_der

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, _ECDSA)

    def verify(self, signature: bytes, data: bytes) -> bool:
        return self.public.verify(signature, data)

    def __repr__(self) -> str:
        return f"Identity({node_id.short(self.node_id)})"


def create(folder: Path) -> Identity:
    """Make a key and a certificate and write both, readable by the owner only. Raises OSError."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key)
    write_whole(folder / KEY_FILE, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_whole(folder / CERTIFICATE_FILE, certificate.public_bytes(Encoding.PEM))
    return Identity(key, certificate.public_bytes(Encoding.DER), folder)


def load(folder: Path) -> Identity:
    """Return the identity in a folder. Raises IdentityError."""
    key_file, certificate_file = folder / KEY_FILE, folder / CERTIFICATE_FILE
    try:
        key = load_pem_private_key(_read(key_file), password=None)
        certificate = x509.load_pem_x509_certificate(_read(certificate_file))
    except OSError as error:
        raise IdentityError(
            f"{error.filename} can't be read ({error.strerror}). Make it readable, or move the folder {folder} away "
            "and pair this device anew."
        ) from error
    except (ValueError, TypeError) as error:
        raise IdentityError(
            f"This device's key in {folder} is damaged. Put back a copy, or move the folder away and pair this "
            "device anew."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityError(f"{key_file} is not a P-256 key. Move the folder {folder} away and pair this device anew.")
    return Identity(key, certificate.public_bytes(Encoding.DER), folder)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_PEM_BYTES)


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "covey")])  # the same for all: no name leaks
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_of(certificate_der: bytes) -> ec.EllipticCurvePublicKey:
    wrong = RemoteProtocolError("The other device showed no certificate of a Covey node. Update Covey on both devices.")
    if len(certificate_der) > MAX_CERTIFICATE_BYTES:
        raise wrong
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        key = certificate.public_key()
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1) or constraints.ca:
            raise wrong
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise wrong from error
    except Exception as error:  # the parser has more ways to refuse than it names (unsupported algorithms, versions)
        raise wrong from error
    return key


def _public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
