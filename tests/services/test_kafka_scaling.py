"""From one worker to four and back under load: states follow their partitions, and nobody sees a gap that is none."""

from contextlib import closing

from tests.services.kafka_homes import MarketHome, new_exchange
from tests.services.storm import FLUSH, MOVE_S, PARTITIONS, Storm, caught_up, compare
from tests.services.storm_crew import Crew
from tests.services.storm_lakes import Floors
from tests.services.storm_producer import producing

NAMES = [f"worker-{nth}" for nth in range(1, 5)]

BLOCK_ROWS = 100
"""Rows published at once: fewer than on a storm, since other tests run beside."""


def test_workers_come_and_go_under_load(tmp_path, kafka_url, registry_url):
    """One worker, then two, three, four, and back by SIGTERM, each at work before the next step: one pass's lake."""
    home = MarketHome(
        tmp_path / "home",
        new_exchange(),
        partitions=PARTITIONS,
        K2_LOG_URL=kafka_url,
        K2_REGISTRY_URL=registry_url,
    )
    with closing(home), closing(Floors(home)) as floors, Crew(home, NAMES, **FLUSH) as crew:
        with producing(home, "producer", BLOCK_ROWS, seed=5) as producer:
            storm = Storm(crew, floors, producer, seed=5)
            for count, name in enumerate(NAMES, 1):
                storm.back(name, crew.start)
                crew.wait_for_members(count, MOVE_S)
                storm.moves(f"with {count} workers")
            for count, name in reversed([*enumerate(NAMES[1:], 1)]):
                crew.end(name)
                crew.wait_for_members(count, MOVE_S)
                storm.moves(f"with {count} workers again")
            producer.end()
        caught_up(home, crew)
        crew.end(NAMES[0])
        assert [] == compare(home)
