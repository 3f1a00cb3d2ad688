"""Run writers and readers at the same time, and judge each reader."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2

from shared import db
from tests.feed import readers
from tests.feed.load import Plan, Written, create_cabinets, write
from tests.feed.readers import Reader, Received, SimpleReader
from tests.feed.verdict import Verdict, judge

FEED = ("the feed", "the feed, second reader")


def run(url: str, plan: Plan, *, simple_ways: bool) -> tuple[Written, dict[str, Verdict]]:
    """Run the plan on an empty database of the settings; return a verdict for each reader.

    `url`: for the writers and the simpler readers.
    """
    create_cabinets(url, plan)
    followers: dict[str, Reader] = {name: readers.from_now() for name in FEED}
    if simple_ways:
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(readers.COPY)
            connection.commit()
        followers |= {way: SimpleReader(url, way) for way in readers.SIMPLE}
    written = Written()
    received = {name: Received() for name in followers}
    with ThreadPoolExecutor(len(followers) + 1) as pool:
        writing = pool.submit(write, url, plan, written)
        following = [
            pool.submit(_follow, reader, received[name], written)
            for name, reader in followers.items()
        ]
    for done in [writing, *following]:
        done.result()
    return written, {name: judge(written, got) for name, got in received.items()}


def _follow(reader: Reader, received: Received, written: Written) -> None:
    try:
        readers.follow(reader, received, written.ended)
    finally:
        db.close()
