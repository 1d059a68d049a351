"""TLS as the settings say: whom to trust, and which certificate to show."""

from __future__ import annotations

import ssl

from k2app.ca_files import refuse_unreadable, trusting
from k2app.errors import OperatorError
from k2app.settings import KafkaSettings, RegistrySettings


def context(settings: KafkaSettings | RegistrySettings, prefix: str) -> ssl.SSLContext:
    """TLS context of a client; the server's certificate and host name are always checked.

    Parameters
    ----------
    prefix
        Of the settings' variables, for messages: K2_KAFKA.

    Raises
    ------
    OperatorError
        A file cannot be read, or is not what it should be; a key comes without its certificate.
    """
    made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if settings.ca_file is not None:
        made = trusting(settings.ca_file, f"{prefix}_CA_FILE")
    if settings.certificate_file is not None:
        _show(made, settings, prefix)
    elif settings.key_file is not None:
        raise OperatorError(
            f"{prefix}_KEY_FILE is set without {prefix}_CERTIFICATE_FILE: set both, or neither"
        )
    return made


def _show(made: ssl.SSLContext, settings: KafkaSettings | RegistrySettings, prefix: str) -> None:
    files = [file for file in (settings.certificate_file, settings.key_file) if file is not None]
    for file, name in zip(files, ("CERTIFICATE_FILE", "KEY_FILE"), strict=False):
        refuse_unreadable(file, f"{prefix}_{name}")
    try:
        # A function: with None, OpenSSL asks the terminal for the password.
        made.load_cert_chain(
            files[0], files[1] if len(files) > 1 else None, settings.key_password.get_secret_value
        )
    except OSError as error:
        raise OperatorError(
            f"{prefix}_CERTIFICATE_FILE: {' and '.join(map(str, files))} are no certificate in PEM with its key, or "
            f"{prefix}_KEY_PASSWORD is not the key's password"
        ) from error
