"""What can happen to a cluster of brokers, and what the bridge and the technicians notice.

    python -m tests.faults.cluster --repeat 3

prints the table of docs/broker-cluster.md. Needs RabbitMQ; about a minute for each case.
"""

import argparse
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from local.broker import BRIDGE_LOGIN
from tests.faults import campaign, truth
from tests.faults.burst import Burst
from tests.faults.cloud import CABINETS, running
from tests.faults.technicians import Load, Technician
from tests.support.balancer import Balanced
from tests.support.database import fast_directory
from tests.support.rabbitmq import Cluster, Node
from tests.support.waiting import wait_until

DEAD_SECONDS = 10
SILENT_SECONDS = 40
SECONDS_TO_RECOVER = 90
_SECONDS_TO_SETTLE = 90
_TECHNICIANS = 4

Fault = Callable[[Balanced], None]
"""Does something to the nodes, and returns when all of them run again."""


def kill_the_node_of_the_bridge(brokers: Balanced) -> None:
    """kill -9 of the node that the bridge is connected to"""
    _kill(brokers, brokers.node_of(BRIDGE_LOGIN[0]))


def kill_another_node(brokers: Balanced) -> None:
    """kill -9 of another node"""
    _kill(brokers, _other_node(brokers))


def silence_the_node_of_the_bridge(brokers: Balanced) -> None:
    """the bridge's node is silent for 40 s"""
    _silence(brokers.node_of(BRIDGE_LOGIN[0]))


def silence_another_node(brokers: Balanced) -> None:
    """another node is silent for 40 s"""
    _silence(_other_node(brokers))


def restart_all(brokers: Balanced) -> None:
    """all nodes are restarted, one after the other"""
    for node in brokers.cluster.nodes:
        node.stop()
        brokers.start()


CASES: tuple[Fault, ...] = (
    kill_the_node_of_the_bridge,
    kill_another_node,
    silence_the_node_of_the_bridge,
    silence_another_node,
    restart_all,
)


@dataclass
class Figures:
    """What one fault did to the messages, or to the unlocks."""

    away_seconds: float
    """The longest time in which the bridge received nothing, or a cabinet opened for nobody."""
    count: int
    redelivered: int = 0
    overtaken: int = 0
    """Messages that came after a later one of their device."""
    faults: list[str] = field(default_factory=list)


def messages(brokers: Balanced, fault: Fault) -> Figures:
    """Send messages from some devices during the fault; they must arrive, and in order."""
    with Burst(brokers) as burst:
        wait_until(lambda: burst.arrived > 200)
        fault(brokers)
        at = burst.arrived
        wait_until(lambda: burst.arrived > at + 200, seconds=SECONDS_TO_RECOVER)
        burst.finish()
        return Figures(
            burst.longest_gap(), burst.sent, burst.redelivered, burst.overtaken(), burst.lost()
        )


def unlocks(brokers: Balanced, fault: Fault) -> Figures:
    """Let technicians work during the fault; compare the records with the truth."""
    load = Load()
    with running(broker=brokers) as cloud:
        technicians = [Technician(number, cloud, load, 1) for number in range(_TECHNICIANS)]
        for one in technicians:
            one.start()
        try:
            _wait_until_all_open(load, time.monotonic())
            began = time.monotonic()
            fault(brokers)
            _wait_until_all_open(load, time.monotonic())
        finally:
            load.stopping.set()
            for one in technicians:
                one.join(_SECONDS_TO_SETTLE)
        faults = [*load.failures]
        faults += [f"{one.name} is still at work" for one in technicians if one.is_alive()]
        try:
            wait_until(lambda: truth.is_settled(cloud), seconds=_SECONDS_TO_SETTLE)
        except TimeoutError:
            seen = cloud.sql("SELECT cabinet_id, now() - last_seen_at FROM cabinets")
            faults.append(f"not settled; cabinets: {seen}; bridge: {cloud.log('bridge')[-1000:]}")
        faults += truth.false_records(cloud, technicians)
        return Figures(_longest_gap(load, began), len(load.unlocked), faults=faults)


def _wait_until_all_open(load: Load, since: float) -> None:
    """Return when each cabinet has opened for somebody who asked after `since`."""
    wait_until(
        lambda: len(campaign.recoveries(load, since)) == CABINETS, seconds=SECONDS_TO_RECOVER
    )


def _longest_gap(load: Load, since: float) -> float:
    """Return the longest time in which a cabinet opened for nobody, in seconds."""
    opened: dict[str, list[float]] = defaultdict(lambda: [since])
    for one in sorted(load.unlocked, key=lambda unlocked: unlocked.answered):
        if one.answered > since:
            opened[one.cabinet_id].append(one.answered)
    return max(after - before for times in opened.values() for before, after in pairwise(times))


@contextmanager
def clusters() -> Iterator[Balanced]:
    """Three nodes behind load balancers."""
    with fast_directory() as directory, ExitStack() as stack:
        yield stack.enter_context(Balanced(stack.enter_context(Cluster(directory))))


def _other_node(brokers: Balanced) -> Node:
    of_bridge = brokers.node_of(BRIDGE_LOGIN[0])
    return next(node for node in brokers.cluster.nodes if node is not of_bridge)


def _kill(brokers: Balanced, node: Node) -> None:
    node.kill()
    time.sleep(DEAD_SECONDS)  # it is the fault's duration
    brokers.start()


def _silence(node: Node) -> None:
    node.signal(signal.SIGSTOP)
    try:
        time.sleep(SILENT_SECONDS)  # it is the fault's duration
    finally:
        node.signal(signal.SIGCONT)
    node.wait()


def main() -> int:
    """Print the table; return 1 if something was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.cluster", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="", help="a part of the names of the cases to run")
    parser.add_argument("--what", default="messages unlocks")
    args = parser.parse_args()
    found: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    with clusters() as brokers:
        for fault in [case for case in CASES if args.only in case.__name__] * args.repeat:
            for run in (messages, unlocks):
                if run.__name__ not in args.what:
                    continue
                figures = run(brokers, fault)
                found[str(fault.__doc__)][run.__name__].append(figures)
                sys.stdout.write(f"{run.__name__}: {fault.__doc__}: {figures}\n")
                sys.stdout.flush()
    sys.stdout.write(_table(found))
    everything = [one for runs in found.values() for figures in runs.values() for one in figures]
    return 1 if any(one.faults for one in everything) else 0


def _table(found: dict[str, dict[str, list[Figures]]]) -> str:
    head = (
        *("fault", "bridge away, median (longest)", "messages", "again", "overtaken", "lost"),
        *("a cabinet opens for nobody, median (longest)", "unlocks", "false records"),
    )
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for fault, runs in found.items():
        sent, opened = runs["messages"], runs["unlocks"]
        cells = (
            *(fault, _seconds(sent)),
            *(sum(one.count for one in sent), sum(one.redelivered for one in sent)),
            *(sum(one.overtaken for one in sent), sum(len(one.faults) for one in sent)),
            *(_seconds(opened), sum(one.count for one in opened)),
            sum(len(one.faults) for one in opened),
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _seconds(figures: list[Figures]) -> str:
    took = [one.away_seconds for one in figures]
    return f"{median(took):.1f} s ({max(took):.1f} s)" if took else ""


if __name__ == "__main__":
    sys.exit(main())
