"""What the health checks of a worker say."""

import json
import urllib.error
import urllib.request


def asked(port: int, path: str) -> tuple[int, dict]:
    """Status and body; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def ready(port: int) -> tuple[int, dict]:
    """Of /health/ready."""
    return asked(port, "/health/ready")


def live(port: int) -> tuple[int, dict]:
    """Of /health/live."""
    return asked(port, "/health/live")


def metrics(port: int, key: str = "") -> tuple[int, str]:
    """Status and text of /metrics; 0 while nobody listens."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"X-API-Key": key} if key else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def checks(port: int) -> dict[str, str]:
    """What /health/ready says of each part."""
    return ready(port)[1].get("checks", {})
