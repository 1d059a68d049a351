"""Addresses to listen on: which of them only this machine reaches, and what others need."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

from k2app.errors import OperatorError
from k2app.operate.key_file import key_file
from k2app.settings import Settings


def check_bind(settings: Settings) -> None:
    """Check that only this machine can reach the server, or that API keys keep the others out.

    Raises
    ------
    OperatorError
        The address is open to others, and nothing would keep them out.
    """
    host = settings.web.host
    if is_loopback(host):
        return
    if settings.web.keys == "off":
        raise OperatorError(
            f"K2_WEB_HOST={host} is open to other machines, and K2_WEB_KEYS=off lets all of them in: "
            "listen on 127.0.0.1, or set K2_WEB_KEYS=auto"
        )
    now = datetime.now(UTC)
    if not any(key.state(now) == "good" for key in key_file(settings).read()):
        raise OperatorError(
            f"K2_WEB_HOST={host} is open to other machines, and there is no API key that would keep them out: "
            "make one with `k2 keys create --name NAME --scope read`, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name may point anywhere, now or later.
        return False
