"""Trading dates whose states have left the tables."""

from homes import DAY_US, OPEN_US, Home, counting, trades

from k2app.lake.tables import Name


def test_evicted_states_are_asked_of_the_lake(tmp_path):
    """A record for a closed trading date is judged as if its state had never been evicted."""
    home = Home(tmp_path / "home", K2_STATE_KEEP_DAYS="2")
    home.publish(trades([n for n in counting(2, 9) if n not in {("S0", 4), ("S1", 5)}]))
    home.drain()
    for day in (5, 6):
        home.publish(trades(counting(2, 3), start_us=OPEN_US + day * DAY_US))
        home.drain()

    home.publish(trades([("S0", 4), ("S0", 2), ("S1", 12), ("S2", 1)], start_us=OPEN_US - 1_000_000))
    printed = home.drain()

    late = {(r["symbol"], r["sequence"]): r["sequence_flag"] for r in home.rows(Name.TRADES)[-60:]}
    assert "states_recalled" in printed
    assert ("late", "conflict") == (late["S0", 4], _flag(home, "S0", 2))
    assert "gap" == late["S1", 12]
    assert "first" == late["S2", 1]


def _flag(home: Home, symbol: str, sequence: int) -> str:
    found = [r for r in home.rows(Name.TRADES) if (r["symbol"], r["sequence"]) == (symbol, sequence)]
    early = [r for r in found if r["timestamp"].timestamp() * 1_000_000 < OPEN_US]
    return early[0]["sequence_flag"]
