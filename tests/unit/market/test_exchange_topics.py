"""Topic names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2app.errors import OperatorError
from k2app.market.topics import EXCHANGE_PATTERN, AssetClass, DataType, Topic, parse, subject


@given(
    st.sampled_from(list(AssetClass)),
    st.sampled_from(list(DataType)),
    st.from_regex(EXCHANGE_PATTERN, fullmatch=True),
)
def test_name_is_parsed_back(asset_class, data_type, exchange):
    """Every topic can be told from its name."""
    topic = Topic(asset_class, data_type, exchange)
    assert topic == parse(topic.name)
    assert f"market.{asset_class}.{data_type}.{exchange}" == topic.name


def test_subject_and_record_names():
    """They are what the registry and the schema files are called."""
    assert subject("equities", "trades") == "market.equities.trades-value"
    assert parse("market.crypto.quotes.binance").subject == "market.crypto.quotes-value"
    assert [data_type.record for data_type in DataType] == ["trade", "quote", "reference_data"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("market.equities.trades", "not a K2 topic"),
        ("other.equities.trades.asx", "not a K2 topic"),
        ("market.bonds.trades.asx", "asset class 'bonds' is not valid; it takes one of equities, crypto"),
        ("market.equities.bars.asx", "data type 'bars' is not valid; it takes one of trades, quotes, ref"),
        ("market.equities.trades.ASX", "exchange 'ASX' is not valid; it takes 1 to 64 lower-case"),
        ("market.equities.trades.", "exchange '' is not valid"),
        ("market.equities.trades.asx\n", "is not valid"),
    ],
)
def test_what_is_no_topic_is_refused(name, message):
    """The error names the part and what is valid."""
    with pytest.raises(OperatorError, match=message):
        parse(name)


def test_topic_of_invalid_parts_is_refused():
    """A topic cannot be built that could not be parsed."""
    with pytest.raises(OperatorError, match="data type 'bars'"):
        Topic("equities", "bars", "asx")
    with pytest.raises(OperatorError, match=r"exchange 'a\.b'"):
        Topic("equities", "trades", "a.b")
