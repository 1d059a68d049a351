"""`k2 doctor` on Kafka and a registry."""

import asyncio
from datetime import UTC, datetime

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from k2app.operate.doctor.doctor import examine
from k2app.operate.doctor.findings import Verdict


def failures(home):
    found = examine(home.settings, datetime.now(UTC))
    return [(one.part, one.text) for one in found if one.verdict is Verdict.FAILED]


def texts(home, verdict):
    return [one.text for one in examine(home.settings, datetime.now(UTC)) if one.verdict is verdict]


def set_topic(url, name, **configs):
    """Change settings of a topic."""

    async def change():
        admin = AIOKafkaAdminClient(bootstrap_servers=url.removeprefix("kafka://"))
        await admin.start()
        try:
            given = {key.replace("_", "."): value for key, value in configs.items()}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, given)])
        finally:
            await admin.close()

    asyncio.run(change())


def test_nothing_was_made_yet(home):
    """Kafka and registry answer; topics, subjects and tables are missing, and each says how to make them."""
    found = failures(home)
    assert any(part == "log" and "missing" in text for part, text in found)
    assert any(part == "lake" and "k2 init" in text for part, text in found)


def test_whole(home):
    """Broker, registry, topics and lake as `k2 init` makes them."""
    home.k2("init")
    assert [] == failures(home)
    fine = texts(home, Verdict.OK)
    assert any("topics keep their records; 1 brokers" in text for text in fine)
    assert any("subjects have the schemas" in text for text in fine)


def test_topics_that_lose_records(home, kafka_url):
    """Compaction of trades and a short retention are found before they make holes."""
    home.k2("init")
    quotes = home.topic.replace("trades", "quotes")
    set_topic(kafka_url, home.topic, cleanup_policy="compact")
    set_topic(kafka_url, quotes, retention_ms="3600000")
    assert [("log", f"topic {home.topic} is compacted: of each symbol only the newest record stays")] == (
        failures(home)
    )
    assert f"topic {quotes} keeps records for 1 h" in texts(home, Verdict.WARNING)


def test_nobody_answers(home):
    """Addresses at which nobody listens are named; the other parts are looked at all the same."""
    home.k2("init")
    home.environment["K2_REGISTRY_URL"] = "http://127.0.0.1:1/apis/ccompat/v7"
    assert [("registry", True)] == [(part, "127.0.0.1:1" in text) for part, text in failures(home)]
