"""The same field everywhere: Avro, Arrow, Iceberg."""

import json

import pyarrow as pa
import pytest
from pyiceberg.schema import index_by_id

import schemas
from k2app.avro.schema import arrow_schema, parse
from k2app.ingest.rows import KNOWN_COLUMNS
from k2app.lake.tables import FORMAT, SPECS, Name
from k2app.market.sequence_flags import FLAGS
from k2app.market.topics import AssetClass, DataType

GOLDEN = {
    "trades": """
        1 symbol string
        2 exchange string
        3 asset_class string
        4 timestamp timestamptz
        5 price decimal(18, 8)
        6 quantity decimal(18, 8)
        7 currency string
        8 side string
        9 trade_id string?
        10 conditions list
        11 sequence long?
        12 ingested_at timestamptz
        13 load_id string?
        14 source_line long?
        15 attributes map?
        16 sequence_flag string
        17 epoch int
        18 trading_date date
        19 committed_at timestamptz
        20 commit_id string
        21 log_id string
        22 topic string
        23 partition int
        24 offset long
        25 conditions.element string
        26 attributes.key string
        27 attributes.value string
    """,
    "quotes": """
        1 symbol string
        2 exchange string
        3 asset_class string
        4 timestamp timestamptz
        5 bid_price decimal(18, 8)?
        6 bid_quantity decimal(18, 8)?
        7 ask_price decimal(18, 8)?
        8 ask_quantity decimal(18, 8)?
        9 currency string
        10 conditions list
        11 sequence long?
        12 ingested_at timestamptz
        13 load_id string?
        14 source_line long?
        15 attributes map?
        16 sequence_flag string
        17 epoch int
        18 trading_date date
        19 committed_at timestamptz
        20 commit_id string
        21 log_id string
        22 topic string
        23 partition int
        24 offset long
        25 conditions.element string
        26 attributes.key string
        27 attributes.value string
    """,
    "reference_data": """
        1 company_id string
        2 symbol string
        3 exchange string
        4 asset_class string
        5 name string?
        6 isin string?
        7 currency string
        8 listed_from date?
        9 listed_to date?
        10 ingested_at timestamptz
        11 load_id string?
        12 source_line long?
        13 attributes map?
        14 committed_at timestamptz
        15 commit_id string
        16 log_id string
        17 topic string
        18 partition int
        19 offset long
        20 attributes.key string
        21 attributes.value string
    """,
    "gaps": """
        1 event string
        2 exchange string
        3 asset_class string
        4 data_type string
        5 symbol string
        6 trading_date date?
        7 epoch int
        8 from_sequence long
        9 to_sequence long
        10 missing long
        11 severity string
        12 timestamp timestamptz
        13 event_index int
        14 committed_at timestamptz
        15 commit_id string
        16 log_id string
        17 topic string
        18 partition int
        19 offset long
    """,
    "dead_letters": """
        1 reason string
        2 schema_id int?
        3 log_timestamp timestamptz
        4 key binary?
        5 value binary?
        6 committed_at timestamptz
        7 commit_id string
        8 log_id string
        9 topic string
        10 partition int
        11 offset long
    """,
    "loads": """
        1 load_id string
        2 state string
        3 recorded_at timestamptz
        4 file string
        5 file_sha256 string
        6 file_bytes long
        7 exchange string
        8 data_type string
        9 profile string
        10 sequence_mode string
        11 symbol string?
        12 rows long
        13 rejects long
        14 rejects_file string?
        15 numbers list
        16 sent list
        17 log_id string
        18 reason string?
        19 numbers.element struct
        20 numbers.element.symbol string
        21 numbers.element.trading_date date
        22 numbers.element.first long
        23 numbers.element.last long
        24 sent.element struct
        25 sent.element.topic string
        26 sent.element.partition int
        27 sent.element.start long
        28 sent.element.end long
    """,
}
"""Field ids, names and types (`?`: may be null) of every table of format 1.

Lakes of people have them: what stands here is never changed. A column is added at the end of its table, and its line
at the place of its id.
"""

OURS = {
    Name.TRADES: ("sequence_flag", "epoch", "trading_date"),
    Name.QUOTES: ("sequence_flag", "epoch", "trading_date"),
    Name.REFERENCE_DATA: (),
}
"""Columns that the record does not have and the check adds."""

COORDINATES = ("log_id", "topic", "partition", "offset")

ALL_VERSIONS = [(d, v) for d in DataType for v in schemas.versions(d.record)]


@pytest.mark.parametrize("name", SPECS)
def test_field_ids_stay_as_they_were_given(name):
    """Ids are what files are read by: unique, and the same for good."""
    schema = SPECS[name].schema
    found = [
        f"{i} {schema.find_column_name(i)} {str(f.field_type).split('<')[0]}{'' if f.required else '?'}"
        for i, f in sorted(index_by_id(schema).items())
    ]
    assert [line.strip() for line in GOLDEN[name].strip().splitlines()] == found
    assert "1" == FORMAT


def test_every_table_is_in_the_golden_list():
    """A new table brings its list."""
    assert list(SPECS) == list(GOLDEN)


def plain(kind):
    """Arrow type without how a string is held: dictionary, large or not."""
    if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(plain(kind.key_type), plain(kind.item_type))
    return kind


@pytest.mark.parametrize(("data_type", "version"), ALL_VERSIONS)
def test_fields_of_the_record_are_the_first_columns_of_the_table(data_type, version):
    """Every field of every schema version is a column: same name, same type, null where the record may be null."""
    table = SPECS[Name(data_type.value)].arrow_schema
    record = arrow_schema(parse(schemas.versions(data_type.record)[version]))
    for field in record:
        column = table.field(field.name)
        assert (field.name, plain(field.type)) == (column.name, plain(column.type))
        assert field.nullable == column.nullable, field.name


@pytest.mark.parametrize("data_type", DataType)
def test_table_has_the_newest_record_what_the_check_found_and_whence_it_came(data_type):
    """No column without an owner, and none missing."""
    name = Name(data_type.value)
    record = arrow_schema(parse(schemas.newest(data_type.record))).names
    expected = {*record, *OURS[name], *KNOWN_COLUMNS, *COORDINATES}
    assert expected == set(SPECS[name].arrow_schema.names)


@pytest.mark.parametrize(("data_type", "version"), ALL_VERSIONS)
def test_nullable_fields_default_to_null(data_type, version):
    """A field that may be missing is a union that starts with null and defaults to it; no other field is optional."""
    for field in schemas.versions(data_type.record)[version]["fields"]:
        kind = field["type"]
        if isinstance(kind, list):
            assert "null" == kind[0]
            assert field["default"] is None
        else:
            assert field.get("default", ...) in (..., []), field["name"]


@pytest.mark.parametrize("data_type", DataType)
def test_file_names_records_and_topics_agree(data_type):
    """The record is called after its data type, in the namespace of all records, and enums name every asset class."""
    document = schemas.newest(data_type.record)
    assert "k2.market" == document["namespace"]
    assert data_type.record.replace("_", "") == document["name"].lower()
    enums = {
        f["type"]["name"]: f["type"]["symbols"] for f in document["fields"] if "enum" in json.dumps(f["type"])
    }
    assert [str(a) for a in AssetClass] == enums["AssetClass"]


def test_sequence_flags_keep_their_codes():
    """Stored states hold the codes: a flag is added at the end."""
    expected = "ok first gap late duplicate reset regressed uncertain unsequenced conflict"
    assert tuple(expected.split()) == FLAGS[:10]
