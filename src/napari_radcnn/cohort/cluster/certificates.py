"""Certificates for scheduler, workers and clients, all signed by an authority of one's own: nobody else gets in."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.cohort.cluster.needed import needed
from napari_radcnn.errors import OptionError, WriteError
from napari_radcnn.files import write_error
from napari_radcnn.user_folders import config_folder

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ROLES = ("scheduler", "worker", "client")
AUTHORITY = "ca"
_DAYS = 825


def default_folder() -> Path:
    """Return where certificates lie unless somebody says otherwise."""
    return config_folder() / "certificates"


def make_certificates(folder: str | Path, *, days: int = _DAYS, hosts: Sequence[str] = ()) -> list[Path]:
    """Make an authority, and a certificate with its key for scheduler, workers and clients.

    Parameters
    ----------
    folder : path
        Made if missing; it must hold no authority yet. ``ca.pem`` and ``ROLE.pem`` with ``ROLE-key.pem`` go to the
        computers of that role; ``ca-key.pem`` signs others and stays where it is.
    days : int
        How long they are valid.
    hosts : sequence of str
        Names and addresses of the scheduler that its certificate states.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    WriteError
        If there is an authority already, or the files cannot be written.
    OptionError
        If `days` is below 1.
    """
    needed("cryptography")
    if days < 1:
        raise OptionError(f"Certificates must be valid for at least 1 day, got {days}.")
    folder = Path(folder)
    if (folder / f"{AUTHORITY}.pem").exists():
        raise WriteError(
            f"{folder}: already contains a certificate authority; choose another folder, or delete this "
            "authority first."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        key, certificate = _authority(days)
        written = _write_pair(folder, AUTHORITY, key, certificate)
        for role in ROLES:
            pair = _signed(role, key, certificate, days, hosts if role == "scheduler" else ())
            written += _write_pair(folder, role, *pair)
    except OSError as error:
        raise write_error(folder, error) from error
    return written


def security_of(folder: Path, role: str) -> Any:
    """Return what dask.distributed needs to be one of the three roles.

    Raises
    ------
    OptionError
        If a file is missing.
    """
    from distributed.security import Security

    return Security(require_encryption=True, **_words(folder, role))


def tls_flags(folder: Path, role: str) -> list[str]:
    """Return the flags of ``dask scheduler`` and ``dask worker``.

    Raises
    ------
    OptionError
        If a file is missing.
    """
    words = _words(folder, role)
    names = {"tls_ca_file": "--tls-ca-file", f"tls_{role}_cert": "--tls-cert", f"tls_{role}_key": "--tls-key"}
    return [word for key, flag in names.items() for word in (flag, words[key])]


def _words(folder: Path, role: str) -> dict[str, str]:
    files = {
        "tls_ca_file": folder / f"{AUTHORITY}.pem",
        f"tls_{role}_cert": folder / f"{role}.pem",
        f"tls_{role}_key": folder / f"{role}-key.pem",
    }
    missing = next((path for path in files.values() if not path.is_file()), None)
    if missing is not None:
        raise OptionError(
            f"{missing}: no such certificate; make some with `radcnn cohort certificates`, copy them to every "
            "computer, and name their folder with --certificates."
        )
    return {key: str(path) for key, path in files.items()}


def _authority(days: int) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("radcnn cohort authority")
    built = (
        _builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, built.sign(key, hashes.SHA256())


def _signed(
    role: str, signer: EllipticCurvePrivateKey, authority: x509.Certificate, days: int, hosts: Sequence[str]
) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    # Workers listen as well, and the scheduler calls them: each is both sides of a connection.
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    built = (
        _builder(_name(f"radcnn cohort {role}"), authority.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(host) for host in (role, *hosts)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return key, built.sign(signer, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: Any, days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write_pair(folder: Path, name: str, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> list[Path]:
    from cryptography.hazmat.primitives import serialization

    public, private = folder / f"{name}.pem", folder / f"{name}-key.pem"
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return [public, private]
