"""The node's key: private, its own anchor, known by its hash."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from peers import identity
from peers.errors import IdentityError, RemoteProtocolError
from peers.identity import PublicIdentity
from peers.node_id import is_node_id
from tests.peers.nodes import new_identity


def test_a_new_identity_is_the_same_after_a_restart(tmp_path: Path) -> None:
    made, again = new_identity(tmp_path), identity.load(tmp_path)
    assert made.node_id == again.node_id
    assert is_node_id(made.node_id)
    assert made.certificate_der == again.certificate_der


def test_two_identities_differ(tmp_path: Path) -> None:
    assert new_identity(tmp_path / "a").node_id != new_identity(tmp_path / "b").node_id


def test_the_key_is_for_its_owner_only_and_stays_out_of_logs(tmp_path: Path) -> None:
    made = new_identity(tmp_path)
    assert made.key_file.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" in made.key_file.read_text()
    assert repr(made) == f"Identity({made.node_id[:7]})"


def test_the_certificate_names_nobody_and_never_ends(tmp_path: Path) -> None:
    certificate = x509.load_der_x509_certificate(new_identity(tmp_path).certificate_der)
    assert certificate.subject.rfc4514_string() == certificate.issuer.rfc4514_string() == "CN=covey"
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.not_valid_after_utc.year == 9999
    assert certificate.not_valid_before_utc <= datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)


def test_ssl_takes_key_and_certificate(tmp_path: Path) -> None:
    made = new_identity(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate_file, made.key_file)


def test_a_signature_holds_for_its_key_and_data_only(tmp_path: Path) -> None:
    made, other = new_identity(tmp_path / "a"), new_identity(tmp_path / "b")
    signature = made.sign(b"data")
    public = PublicIdentity(made.certificate_der)
    assert public.node_id == made.node_id
    assert public.verify(signature, b"data")
    assert not public.verify(signature, b"date")
    assert not public.verify(b"", b"data")
    assert not PublicIdentity(other.certificate_der).verify(signature, b"data")


@pytest.mark.parametrize("file", [identity.KEY_FILE, identity.CERTIFICATE_FILE])
@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_damaged_or_missing_file_is_a_sentence(tmp_path: Path, file: str, content: bytes | None) -> None:
    new_identity(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(IdentityError, match="pair this device anew"):
        identity.load(tmp_path)


def test_a_certificate_of_another_key_is_refused(tmp_path: Path) -> None:
    made, other = new_identity(tmp_path / "a"), new_identity(tmp_path / "b")
    made.certificate_file.write_bytes(other.certificate_file.read_bytes())
    with pytest.raises(IdentityError, match="does not belong to the key"):
        identity.load(tmp_path / "a")


def foreign(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *,
    ca: bool = False,
    signer: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    name = x509.Name([])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return built.sign(signer or key, hashes.SHA256()).public_bytes(Encoding.DER)


P256 = ec.SECP256R1()


@pytest.mark.parametrize(
    "certificate",
    [
        b"",
        b"\x30\x03\x02\x01\x01",
        b"x" * 5000,
        foreign(ec.generate_private_key(P256), ca=True),
        foreign(ec.generate_private_key(ec.SECP384R1())),
        foreign(rsa.generate_private_key(65537, 2048)),
        foreign(ec.generate_private_key(P256), signer=ec.generate_private_key(P256)),
    ],
    ids=["empty", "tiny", "huge", "a CA", "another curve", "RSA", "signed by another key"],
)
def test_a_certificate_that_is_not_ours_in_kind_is_refused(certificate: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="no certificate of a Covey node"):
        PublicIdentity(certificate)


def test_a_certificate_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    whole = new_identity(tmp_path).certificate_der
    for length in range(len(whole)):
        with pytest.raises(RemoteProtocolError):
            PublicIdentity(whole[:length])
