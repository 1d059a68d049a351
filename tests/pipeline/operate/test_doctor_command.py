"""`k2 doctor`: in a home that is whole, and in homes with one fault each."""

import http.server
import json
import shutil
import threading
from datetime import UTC, datetime, timedelta

import pytest
from commands import k2
from homes import Home, counting, free_port, stopped, trades, wait_until
from pyiceberg.table.refs import MAIN_BRANCH
from typer.testing import CliRunner

from k2app.cli.k2 import app
from k2app.lake.tables import Name
from k2app.operate.doctor.doctor import examine
from k2app.operate.doctor.findings import Verdict
from k2app.settings import read_settings
from tests.processes import ended

NOW = datetime(2026, 1, 6, tzinfo=UTC)


def findings(home, verdict, now=None, **environment):
    """(part, text, advice) of every finding with a verdict."""
    given = {"web": {"enabled": False}} | environment
    settings = read_settings(
        home=home.path, exchanges="asx", exchanges_file=home.path / "exchanges.toml", **given
    )
    found = examine(settings, now or datetime.now(UTC))
    return [(one.part, one.text, one.advice) for one in found if one.verdict is verdict]


def failures(home, **environment):
    return findings(home, Verdict.FAILED, **environment)


def test_nothing_is_there_yet(tmp_path):
    """Each part that is missing says which command makes it; nothing is made by looking."""
    home = Home(tmp_path / "home")
    found = failures(home)
    assert ["log", "registry", "lake"] == [part for part, _, _ in found]
    assert all("k2 init" in text for _, text, _ in found)
    assert ["exchanges.toml"] == [path.name for path in home.path.iterdir()]


def test_whole_home(home):
    """A home with rows in the lake and rows to come has no fault; the probe file is gone afterwards."""
    home.publish(trades(counting(2, 10)))
    home.drain()
    home.publish(trades(counting(2, 3, first=11)))
    files = sorted(home.path.glob("warehouse/**/*"))
    assert [] == failures(home)
    assert [("log", "no worker is on it", "nothing is ingested until `k2 worker` runs")] == findings(
        home, Verdict.WARNING
    )
    texts = dict.fromkeys(text for _, text, _ in findings(home, Verdict.OK))
    assert any("6 rows to be ingested" in text for text in texts)
    assert any("6 tables, 20 rows" in text for text in texts)
    assert any(text.startswith("DuckDB") and "no trades" not in text for text in texts)
    assert files == sorted(home.path.glob("warehouse/**/*"))


def test_topic_that_was_never_made(home):
    """An exchange that was configured after `k2 init` has no topics and no subjects under its asset class."""
    _ = home.log
    settings = read_settings(home=home.path, exchanges="asx,binance", web={"enabled": False})
    found = [f for f in examine(settings, NOW) if f.verdict is Verdict.FAILED]
    assert any(
        f.part == "log" and "market.crypto.trades.binance" in f.text and "k2 init" in f.advice for f in found
    )
    assert any(f.part == "registry" and "market.crypto.trades-value" in f.text for f in found)
    assert any(f.part == "lake" and "k2.sequence-rule.binance is not pinned" in f.text for f in found)


def test_changed_partition_count_and_rule(home):
    """What must not change and did is named with both values."""
    _ = home.log
    rule = '{ kind = "increasing", scope = "continuous" }'
    changed = f"[asx]\npartitions = 3\n[asx.sequences]\ntrades = {rule}\n"
    (home.path / "exchanges.toml").write_text(changed)
    found = failures(home)
    assert any(
        "market.equities.trades.asx has 2 partitions, the configuration says 3" in t for _, t, _ in found
    )
    assert any("k2.sequence-rule.asx is pinned as 'contiguous" in text for _, text, _ in found)


def test_another_log_under_the_lake(home):
    """A log that was made anew is not the one that the lake's floors speak of."""
    home.publish(trades(counting(1, 5)))
    home.drain()
    home.log.close()
    for file in home.path.glob("log.db*"):
        file.unlink()
    other = Home(home.path.parent / "other")
    other.log.close()
    for file in other.path.glob("log.db*"):
        shutil.copy(file, home.path / file.name)
    (found,) = failures(home)
    assert "log and lake" == found[0]
    assert "K2_ON_NEW_LOG=continue" in found[2]


def test_data_file_that_is_gone(home):
    """A catalog that names a file which nobody has: the query is what finds it."""
    home.publish(trades(counting(1, 5)))
    home.drain()
    (file,) = home.path.glob("warehouse/market_data/trades/data/**/*.parquet")
    file.unlink()
    (found,) = failures(home)
    assert "queries" == found[0]
    assert file.name in found[1]


def test_warehouse_that_takes_no_files(home):
    """A folder in which nothing can be made is found before a flush does."""
    table = home.log and home.table(Name.TRADES)
    data = home.path / "warehouse" / "market_data" / "trades" / "data"
    assert table.current_snapshot() is None
    shutil.rmtree(data, ignore_errors=True)
    data.write_text("a file stands where the folder should be")
    (found,) = failures(home)
    assert ("lake", True) == (found[0], "takes no files" in found[1])


def test_clock_that_goes_wrong(home):
    """Commits from the future would be left out of `as_of` answers."""
    home.publish(trades(counting(1, 5)))
    home.drain()
    table = home.table(Name.TRADES)
    made = datetime.fromtimestamp(table.snapshot_by_name(MAIN_BRANCH).timestamp_ms / 1_000, UTC)
    found = findings(home, Verdict.WARNING, now=made - timedelta(seconds=90))
    assert any(
        part == "lake" and "90.0 s from now" in text and "NTP" in advice for part, text, advice in found
    )
    assert [] == [f for f in findings(home, Verdict.WARNING, now=made) if f[0] == "lake"]


def test_memory_limit_that_duckdb_does_not_take(home):
    """A wrong setting is said where it takes effect."""
    _ = home.log
    (found,) = failures(home, query={"memory_limit": "plenty"})
    assert "queries" == found[0]
    assert "plenty" in found[1]


@pytest.fixture
def stranger():
    """A web server that is not ours."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        ended(thread)


def test_port_of_another_program(home, stranger):
    """The port is taken: by whom cannot be said, that it is not K2 can."""
    _ = home.log
    found = findings(home, Verdict.WARNING, web={"port": stranger})
    assert any(part == "web" and f":{stranger} is taken" in text for part, text, _ in found)


def test_beside_a_worker(home):
    """The worker is counted, and its server says that it is ready."""
    home.publish(trades(counting(1, 5)))
    port = free_port()
    with stopped(
        home.start(K2_WEB_ENABLED="true", K2_WEB_PORT=str(port), K2_FLUSH_INTERVAL_S="0.2")
    ) as worker:
        wait_until(lambda: sum(home.floors().values()) == 5, "the first flush")
        wait_until(
            lambda: any("is ready" in text for _, text, _ in findings(home, Verdict.OK, web={"port": port})),
            "the server's answer",
        )
        assert [] == findings(home, Verdict.WARNING, web={"port": port})
        worker.terminate()
        assert 0 == worker.wait(30)


def test_as_json_and_exit_status(home):
    """Scripts get the same findings, and an exit status: 0 all works, 1 something does not."""
    _ = home.log
    whole = json.loads(k2(home, "doctor", "--output", "json"))
    assert whole["healthy"]
    assert {"part", "verdict", "text", "advice"} == set(whole["findings"][0])
    page = k2(home, "doctor")
    assert "checks passed, 1 with a warning" in page
    assert "-> nothing is ingested until `k2 worker` runs" in page
    environment = home.environment | {"K2_EXCHANGES": "asx,binance", "K2_LOGS_LEVEL": "warning"}
    done = CliRunner().invoke(app, ["doctor", "--output", "json"], env=environment)
    assert 1 == done.exit_code
    assert not json.loads(done.stdout)["healthy"]
