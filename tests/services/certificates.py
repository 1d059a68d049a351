"""Certificates for tests: an authority of its own, and what it vouches for; made by openssl, valid for a day."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.services.artifacts import tool

EXTENSIONS = """\
subjectAltName=DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth,clientAuth
"""


@dataclass(frozen=True)
class Certificate:
    """PEM files: certificate, private key, and both in one."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """A certificate authority in `folder`."""

    def __init__(self, folder: Path, name: str = "K2 tests") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificate, self._key = folder / "ca.pem", folder / "ca.key"
        _openssl("req", "-x509", *_new_key(self._key, name), "-days", "1", "-out", self.certificate)

    def certify(self, name: str, key_password: str = "") -> Certificate:
        """Make a certificate of 127.0.0.1 and of a client called `name`; with a password its key is encrypted."""
        made = Certificate(*(self.folder / f"{name}.{kind}" for kind in ("pem", "key", "both.pem")))
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(EXTENSIONS)
        _openssl("req", *_new_key(made.key, name), "-out", request)
        signed_by = ["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions]
        _openssl("x509", "-req", "-in", request, *signed_by, "-days", "1", "-out", made.certificate)
        if key_password:
            encrypted = made.key.with_suffix(".encrypted")
            _openssl(
                "pkcs8", "-topk8", "-in", made.key, "-out", encrypted, "-passout", f"pass:{key_password}"
            )
            encrypted.rename(made.key)
        made.both.write_text(made.key.read_text() + made.certificate.read_text())
        return made


def _new_key(key: Path, name: str) -> list[object]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    return [*curve, "-nodes", "-keyout", key, "-subj", f"/CN={name}"]


def hashed(password: str) -> str:
    """A password as a file of users holds it."""
    return _openssl("passwd", "-6", "-stdin", given=password).strip()


def _openssl(*arguments: object, given: str = "") -> str:
    command = [tool("openssl"), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=given).stdout
