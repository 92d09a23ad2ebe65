"""The keys of one control plane: a certificate authority of its own, the API server's certificate, the client certificate of one user, and
the key that signs service account tokens. All on curve P-256, made in milliseconds, in a folder that nobody else may enter.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = datetime.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates into `folder`: `ca.crt` there is what clients trust."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        key, name = ec.generate_private_key(ec.SECP256R1()), subject("test control plane")
        made = cls(folder, key, name)
        ca = x509.BasicConstraints(ca=True, path_length=None)
        made._write("ca", key, made._certificate(name, key.public_key()).add_extension(ca, critical=True))
        return made

    def server(self, file: str, names: Sequence[str]) -> None:
        """`file`.crt and `file`.key for a server that is called by these host names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([alternative(name) for name in names])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = self._certificate(subject(file), key.public_key()).add_extension(alternatives, critical=False)
        self._write(file, key, certificate.add_extension(usage, critical=False))

    def client(self, file: str, user: str, groups: Sequence[str] = ()) -> None:
        """`file`.crt and `file`.key for a user of Kubernetes: its common name is the user, its organisations are the groups."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        self._write(file, key, self._certificate(subject(user, groups), key.public_key()).add_extension(usage, critical=False))

    def _certificate(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(minutes=5)).not_valid_after(now + LIFE)

    def _write(self, file: str, key: ec.EllipticCurvePrivateKey, builder: x509.CertificateBuilder) -> None:
        certificate = builder.sign(self.key, hashes.SHA256())
        (self.folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_key(self.folder / f"{file}.key", key)


def signing_key(folder: Path, file: str) -> None:
    """`file`.key and `file`.pub: what signs and what checks service account tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_key(folder / f"{file}.key", key)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{file}.pub").write_bytes(public)


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form))


def subject(user: str, groups: Sequence[str] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
