"""The two venues of the demo: symbols, trading days, sessions and reference data."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

ASX_DAYS = (dt.date(2026, 4, 2), dt.date(2026, 4, 7), dt.date(2026, 4, 8))
"""Trading days on either side of the end of daylight saving in Sydney (5 April 2026).

3 to 6 April are Easter holidays. On 2 April the local morning is still 1 April in UTC.
"""

BINANCE_DAYS = tuple(ASX_DAYS[0] + dt.timedelta(days=n) for n in range(7))
"""UTC days of the continuous venue: the same period, without a break."""

ASX_ZONE = ZoneInfo("Australia/Sydney")

OFF_MARKET = ("1", "3", "9")
"""ASX qualifiers of trades away from the market: they belong in no bar."""

PREOPEN = dt.time(8, 15)
"""Local time of the off-market print before the open."""

OPENING, CONTINUOUS, CLOSED, CLOSING = dt.time(10), dt.time(10, 10), dt.time(16), dt.time(16, 10, 12)
"""Local times: first opening auction, all symbols open, end of trading, closing auction."""

DELIVERY = dt.time(7)
"""Local time at which what yesterday's feed owed is delivered."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Symbol:
    """One listing and how its numbers are written.

    Parameters
    ----------
    price
        Typical price in units of 10^-`price_places`.
    tick
        Price step, same unit.
    quantity
        Largest quantity in units of 10^-`quantity_places`.
    """

    name: str
    company: str
    price: int
    tick: int
    price_places: int
    quantity: int
    quantity_places: int


def _share(name: str, company: str, price: int, tick: int) -> Symbol:
    return Symbol(name, company, price, tick, price_places=4, quantity=4_000, quantity_places=0)


ASX_SYMBOLS = (
    _share("AQL", "Aquila Minerals Limited", 451_200, 100),
    _share("BNR", "Banner Bank Limited", 1_183_400, 100),
    _share("CRW", "Carrow Freight Group", 82_300, 100),
    _share("DLM", "Dolomite Resources NL", 4_150, 50),
    _share("ELT", "Eltham Property Trust", 31_700, 100),
    _share("FNX", "Fernox Biotech Limited", 12_650, 50),
    _share("GRV", "Grove Wines, Limited", 54_900, 100),
    _share("HLX", "Helix Imaging Limited", 217_800, 100),
    _share("IRB", "Ironbark Steel Limited", 166_500, 100),
    _share("JND", "Jindabyne Power Limited", 23_900, 100),
    _share("KLV", "Kelvin Gas Limited", 73_400, 100),
    _share("LMR", "Lumera Software Limited", 958_100, 100),
    _share("MGT", "Margate Insurance Group", 301_000, 100),
    _share("NVK", "Novak Lithium Limited", 9_850, 50),
    _share("ORL", "Oriel Telecom Limited", 38_600, 100),
    _share("PTR", "Petrel Airways Limited", 62_200, 100),
    _share("QND", "Quandong Foods, Limited", 27_300, 100),
    _share("RSK", "Roskill Copper NL", 6_720, 50),
    _share("STW", "Stanwell Retail Group", 145_700, 100),
    _share("TVR", "Tavira Toll Roads", 129_900, 100),
)

BINANCE_SYMBOLS = (
    Symbol("BTCUSDT", "Bitcoin", 6_732_110_000_000, 1_000_000, 8, 50_000_000, 8),
    Symbol("ETHUSDT", "Ether", 321_544_000_000, 1_000_000, 8, 900_000_000, 8),
    Symbol("SOLUSDT", "Solana", 14_211_000_000, 1_000_000, 8, 9_000_000_000, 8),
    Symbol("XRPUSDT", "XRP", 21_430, 1, 4, 20_000, 1),
    Symbol("DOGEUSDT", "Dogecoin", 16_210, 1, 5, 90_000, 0),
)


def at_us(day: dt.date, time: dt.time, zone: dt.tzinfo = ASX_ZONE) -> int:
    """Microseconds since 1970 (UTC) of a local time on a day."""
    moment = dt.datetime.combine(day, time, tzinfo=zone)
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def isin(country: str, code: str) -> str:
    """ISIN with its check digit. Source: ISO 6166, modulus 10 double-add-double."""
    body = country + code.rjust(9, "0")
    digits = "".join(str(int(char, 36)) for char in body)
    doubled = "".join(str(int(d) * (2 if n % 2 == 0 else 1)) for n, d in enumerate(reversed(digits)))
    return f"{body}{-sum(map(int, doubled)) % 10}"


REFERENCE_HEADER = ("company_id", "symbol", "name", "isin", "currency", "listed_from", "listed_to")


def asx_reference() -> list[tuple[str, ...]]:
    """Rows of reference-asx.csv; one listing has ended, the rest are open."""
    return [
        (
            f"A{1001 + n}",
            s.name,
            s.company,
            isin("AU", s.name),
            "AUD",
            dt.date(1990 + n, 1 + n % 12, 15).isoformat(),
            "2026-04-08" if s.name == "RSK" else "",
        )
        for n, s in enumerate(ASX_SYMBOLS)
    ]


def binance_reference() -> list[tuple[str, ...]]:
    """Rows of reference-binance.csv; coins have no ISIN."""
    return [
        (f"B{2001 + n}", s.name, s.company, "", "USDT", dt.date(2017 + n, 8, 17).isoformat(), "")
        for n, s in enumerate(BINANCE_SYMBOLS)
    ]
