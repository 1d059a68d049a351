"""API keys over HTTP: who is let in, to what, how often, and how much at once."""

from __future__ import annotations

import io
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import structlog

from k2app.errors import OperatorError
from k2app.operate.key_file import KeyFile, key_file
from k2app.operate.keys import Scope, new_key
from k2app.settings import Settings
from tests.web.live import live, small_lake
from web import check_bind
from web.access import PUBLIC

WAIT_S = 20.0

ASKED = ("/v1/trades?limit=1", "/v1/symbols", "/metrics", "/v1/nothing", "/")
"""Paths that need a key."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("access")) as found:
        yield found


@pytest.fixture(scope="module")
def site(lake):
    with live(lake, {"keys": "required", "rate": ""}) as running:
        yield running


@pytest.fixture
def make(lake):
    """Make a key; returns its id and its text."""

    def made(*scopes, rate=None, expires_in=None):
        now = datetime.now(UTC)
        key = new_key("test", scopes or [Scope.READ], rate, None, now)
        stored = key.key
        if expires_in is not None:
            stored = stored.model_copy(update={"expires_at": now + expires_in})
        key_file(lake[0]).add(stored)
        return stored.id, key.text

    return made


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize("path", ASKED)
def test_without_a_key_nothing_is_told(site, path):
    """401, how to send one, and the challenge; of paths that are not there, too."""
    answer = site.get(path)
    assert (401, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert 'Bearer realm="k2"' == answer.headers["WWW-Authenticate"]
    assert "urn:k2:problem:unauthorized" == answer.json()["type"]
    assert "X-API-Key" in answer.json()["detail"]


@pytest.mark.parametrize("path", PUBLIC)
def test_public_paths_need_none(site, path):
    """Probes have no keys, and the documents tell how to use one."""
    assert 200 == site.get(path).status_code


def test_a_key_is_taken_from_either_header(site, make):
    """Bearer in any spelling, or X-API-Key; another scheme leaves that to X-API-Key."""
    _, text = make()
    for headers in (
        bearer(text),
        {"Authorization": f"bearer  {text}"},
        {"X-API-Key": text},
        {"Authorization": "Basic eDp5", "X-API-Key": text},
    ):
        assert 200 == site.get("/v1/trades?limit=1", headers=headers).status_code


def test_a_wrong_key_is_told_from_none(site, make):
    """Every way to be wrong is 401 with invalid_token, and says nothing of what would have been right."""
    key_id, text = make()
    other = make()[1]
    wrong = [
        "x",
        text[:-1],
        text + "0",
        text.upper(),
        f"k2_{key_id}_",
        f"k2__{text[-64:]}",
        f"k2_{key_id}_{other[-64:]}",
        f"k2_000000000000_{text[-64:]}",
    ]
    for given in wrong:
        answer = site.get("/v1/trades", headers=bearer(given))
        assert 401 == answer.status_code, given
        assert 'Bearer realm="k2", error="invalid_token"' == answer.headers["WWW-Authenticate"]
        assert answer.json()["detail"].startswith("the API key is not one of this server's")


def test_a_revoked_key_is_refused_from_the_next_request_on(site, make, lake):
    """Nothing is restarted."""
    key_id, text = make()
    assert 200 == site.get("/v1/stats", headers=bearer(text)).status_code
    KeyFile(key_file(lake[0]).path).revoke(key_id[:6], datetime.now(UTC))
    answer = site.get("/v1/stats", headers=bearer(text))
    assert (401, True) == (answer.status_code, answer.json()["detail"].startswith("the API key is revoked"))


def test_an_expired_key_is_refused(site, make):
    """From its time on."""
    _, text = make(expires_in=timedelta(seconds=-1))
    assert "the API key is expired" in site.get("/v1/stats", headers=bearer(text)).json()["detail"]
    assert 200 == site.get("/v1/stats", headers=bearer(make(expires_in=timedelta(days=1))[1])).status_code


@pytest.mark.parametrize(
    ("scopes", "method", "path", "missing"),
    [
        ([Scope.REPLAY], "GET", "/v1/trades", "read"),
        ([Scope.READ, Scope.ADMIN], "GET", "/v1/replay", "replay"),
        ([Scope.READ, Scope.REPLAY], "POST", "/v1/trades", "admin"),
        ([Scope.ADMIN], "GET", "/metrics", "read"),
    ],
)
def test_a_key_is_good_for_its_scopes_only(site, make, scopes, method, path, missing):
    """403, and which scope is missing; no scope contains another."""
    key_id, text = make(*scopes)
    answer = site.client.request(method, path, headers=bearer(text))
    assert (403, "urn:k2:problem:forbidden") == (answer.status_code, answer.json()["type"])
    challenge = f'Bearer realm="k2", error="insufficient_scope", scope="{missing}"'
    assert challenge == answer.headers["WWW-Authenticate"]
    assert f"key {key_id} may" in answer.json()["detail"]


def test_no_log_line_and_no_answer_holds_a_key(site, make, monkeypatch):
    """Whatever becomes of the request."""
    _, text = make()
    written = io.StringIO()
    monkeypatch.setattr(site.engine, "_answer", lambda *_: 1 / 0)
    handler = logging.StreamHandler(written)
    logging.getLogger().addHandler(handler)
    try:
        with structlog.testing.capture_logs() as lines:
            answers = [
                site.get("/v1/stats", headers=bearer(given)) for given in (text, text[:-1], f"{text} {text}")
            ]
    finally:
        logging.getLogger().removeHandler(handler)
    assert [500, 401, 401] == [answer.status_code for answer in answers]
    said = f"{lines}{written.getvalue()}{[(a.text, a.headers) for a in answers]}"
    assert lines
    assert text[:-1] not in said
    assert text.rpartition("_")[2][:16] not in said


def test_a_key_in_the_url_is_a_wrong_parameter(site, make):
    """URLs stand in logs and histories: keys are not taken from there, and the value is not repeated."""
    _, text = make()
    assert 401 == site.get(f"/v1/stats?api_key={text}").status_code
    answer = site.get(f"/v1/stats?api_key={text}", headers=bearer(text))
    assert (400, "api_key") == (answer.status_code, answer.json()["parameter"])
    assert text not in answer.text


def test_a_file_of_keys_that_cannot_be_read_lets_nobody_in(tmp_path):
    """Half a file, or one that is gone, is not a reason to open the door; nor to be taken for dead."""
    with small_lake(tmp_path) as lake, live(lake) as site:
        made = new_key("a", [Scope.READ], None, None, datetime.now(UTC))
        key_file(lake[0]).add(made.key)
        assert 200 == site.get("/v1/stats", headers=bearer(made.text)).status_code
        (tmp_path / "keys.json").write_text('{"keys": [')
        assert 401 == site.get("/v1/stats").status_code
        answer = site.get("/v1/stats", headers=bearer(made.text))
        assert (503, "urn:k2:problem:operator") == (answer.status_code, answer.json()["type"])
        assert 200 == site.get("/health/live").status_code
        (tmp_path / "keys.json").unlink()
        assert 401 == site.get("/v1/stats", headers=bearer(made.text)).status_code


def test_keys_are_asked_for_once_there_is_one(tmp_path):
    """K2_WEB_KEYS=auto on this machine: nothing to set up before, and no open door afterwards."""
    with small_lake(tmp_path) as lake, live(lake) as site:
        assert 200 == site.get("/v1/stats").status_code
        made = new_key("a", [Scope.READ], None, None, datetime.now(UTC))
        key_file(lake[0]).add(made.key)
        assert 401 == site.get("/v1/stats").status_code
        key_file(lake[0]).revoke(made.key.id, datetime.now(UTC))
        assert 401 == site.get("/v1/stats").status_code


# --- limits


def test_the_rate_of_a_key_is_its_own(site, make):
    """Five a day: the headers count down, the sixth is 429 and says when; another key is not concerned."""
    _, text = make(rate="5/d")
    found = [site.get("/v1/stats", headers=bearer(text)) for _ in range(6)]
    assert [200] * 5 + [429] == [answer.status_code for answer in found]
    assert ['"requests";q=5;w=86400'] * 6 == [answer.headers["RateLimit-Policy"] for answer in found]
    left = [answer.headers["RateLimit"].split(";")[1] for answer in found]
    assert ["r=4", "r=3", "r=2", "r=1", "r=0", "r=0"] == left
    assert "urn:k2:problem:rate" == found[-1].json()["type"]
    assert "made more than 5/d requests" in found[-1].json()["detail"]
    assert 1 <= int(found[-1].headers["Retry-After"]) <= 86_400
    assert 200 == site.get("/v1/stats", headers=bearer(make()[1])).status_code


def test_without_keys_the_address_is_counted(lake):
    """Documents too, health never."""
    with live(lake, {"keys": "off", "rate": "3/d"}) as site:
        paths = ["/openapi.json", "/v1/stats", "/v1/nothing", "/docs", "/v1/stats"]
        assert [200, 200, 404, 429, 429] == [site.get(path).status_code for path in paths]
        assert "address 127.0.0.1" in site.get("/v1/stats").json()["detail"]
        assert [200] * 5 == [site.get("/health/live").status_code for _ in range(5)]


def test_guessing_keys_is_limited(lake):
    """A wrong key counts against the address it came from."""
    with live(lake, {"keys": "required", "rate": "3/d"}) as site:
        wrong = bearer("k2_0_0")
        assert [401, 401, 401, 429] == [site.get("/v1/stats", headers=wrong).status_code for _ in range(4)]


def test_queries_at_once_are_limited_by_key(lake, make, monkeypatch):
    """The third of one key is 429 with Retry-After; another key's is answered; places come back."""
    with live(lake, {"keys": "required", "concurrent": 2}) as site, ThreadPoolExecutor(2) as clients:
        (_, text), (_, other) = make(), make()
        begun, may_end, answer = threading.Semaphore(0), threading.Event(), site.engine._answer

        def slow(*given):
            begun.release()
            assert may_end.wait(WAIT_S)
            return answer(*given)

        monkeypatch.setattr(site.engine, "_answer", slow)
        held = [clients.submit(httpx.get, f"{site.base}/v1/stats", headers=bearer(text)) for _ in range(2)]
        assert all(begun.acquire(timeout=WAIT_S) for _ in held)
        refused = site.get("/v1/stats", headers=bearer(text))
        assert (429, "urn:k2:problem:concurrency") == (refused.status_code, refused.json()["type"])
        assert "1" == refused.headers["Retry-After"]
        may_end.set()
        assert 200 == site.get("/v1/stats", headers=bearer(other)).status_code
        assert [200, 200] == [one.result(WAIT_S).status_code for one in held]
        assert 200 == site.get("/v1/stats", headers=bearer(text)).status_code


# --- addresses


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "k2.example.com"])  # noqa: S104 - refused
def test_a_public_address_takes_a_good_key(tmp_path, host):
    """Without one, with a revoked one, or with keys switched off, the server does not start."""
    settings = Settings(home=tmp_path, web={"host": host})
    with pytest.raises(OperatorError, match="k2 keys create"):
        check_bind(settings)
    made = new_key("a", [Scope.READ], None, None, datetime.now(UTC))
    key_file(settings).add(made.key)
    check_bind(settings)
    with pytest.raises(OperatorError, match="K2_WEB_KEYS=off lets all of them in"):
        check_bind(Settings(home=tmp_path, web={"host": host, "keys": "off"}))
    key_file(settings).revoke(made.key.id, datetime.now(UTC))
    with pytest.raises(OperatorError, match="k2 keys create"):
        check_bind(settings)
