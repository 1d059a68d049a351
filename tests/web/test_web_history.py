"""The lake's history over HTTP: paths that look alike, names that Python keeps for itself, and what is gone."""

from __future__ import annotations

from k2app.lake.catalog import load
from k2app.lake.tables import Name
from tests.query_lake import trade


async def test_a_snapshot_that_has_expired_is_410_with_the_way_out(site, put, catalog, settings):
    """Named by id, in a set or by a cursor: the parameter, and what to ask instead."""
    first = put("trades", [trade(n) for n in range(3)])
    _, _, page = await site.get("/v1/trades", params={"limit": "2"})
    assert (200, first) == ((await site.get(f"/v1/snapshots/{first}"))[0], page["snapshots"]["trades"])
    put("trades", [trade(9)])
    load(catalog, settings, Name.TRADES).maintenance.expire_snapshots().by_id(first).commit()
    for path, parameter, value in (
        ("/v1/trades", "snapshot_id", str(first)),
        ("/v1/trades", "snapshots", f"trades:{first}"),
        ("/v1/trades", "cursor", page["next"]),
        ("/v1/snapshots/diff", "from", str(first)),
    ):
        limit = {"limit": "2"} if parameter == "cursor" else {}
        status, headers, problem = await site.get(path, params={parameter: value, **limit})
        assert (410, "application/problem+json") == (status, headers["Content-Type"].partition(";")[0])
        assert ("urn:k2:problem:gone", parameter) == (problem["type"], problem["parameter"])
        assert "as_of" in problem["detail"]
    assert 410 == (await site.get(f"/v1/snapshots/{first}"))[0]


async def test_a_diff_is_no_snapshot(site, put):
    """`/v1/snapshots/diff` and `/v1/snapshots/{id}` are told apart; an id that is none is refused by name."""
    first = put("trades", [trade(0)])
    second = put("trades", [trade(1), trade(2, symbol="RIO")])
    status, _, diff = await site.get("/v1/snapshots/diff", params={"from": str(first), "to": str(second)})
    assert (200, [("BHP", 1), ("RIO", 1)]) == (status, [(row["symbol"], row["rows"]) for row in diff["rows"]])
    _, _, one = await site.get(f"/v1/snapshots/{second}")
    assert (2, 3) == (one["rows"][0]["rows_added"], one["rows"][0]["total_rows"])
    status, _, problem = await site.get("/v1/snapshots/latest")
    assert (400, "id") == (status, problem["parameter"])
    status, _, problem = await site.get("/v1/snapshots/diff", params={"to": str(second)})
    assert (400, "from") == (status, problem["parameter"])


async def test_the_lake_says_what_it_has(site, put):
    """Range, completeness, dead letters and snapshots answer with rows and the snapshots they were read from."""
    put("trades", [trade(n, sequence=n + 1) for n in range(3)])
    for path, rows in (
        ("/v1/range", 1),
        ("/v1/completeness", 1),
        ("/v1/dead-letters", 0),
        ("/v1/snapshots", 1),
    ):
        status, _, answer = await site.get(path)
        assert (200, rows) == (status, len(answer["rows"])), path
        assert answer["snapshots"]
