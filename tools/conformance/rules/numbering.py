"""Rules on power-up, boots and the numbers of messages."""

from collections.abc import Iterator
from itertools import pairwise

from tools.conformance.rules import Rule, Verdict, broken, first_broken, held, unchecked
from tools.conformance.view import Connection, Seen, Told, whole

_NO_MESSAGE = unchecked("the cabinet has sent no message with a boot_id")


def _numbered(seen: Seen) -> list[Told]:
    return [one for one in seen.told if one.boot_id and one.type != "goodbye"]


def _power_cycles(seen: Seen) -> list[int]:
    """Return the entries at which the kit asked for a power cycle that was made."""
    return [asked.number for asked, _, one in seen.hands("power") if one.outcome == "done"]


def _boot_id(seen: Seen) -> Verdict:
    messages = _numbered(seen)
    if not messages:
        return _NO_MESSAGE
    cycles = _power_cycles(seen)
    began = {one.boot_id: one.message.connection for one in reversed(messages)}

    def changes() -> Iterator[Verdict]:
        for earlier, later in pairwise(messages):
            numbers = (earlier.entry.number, later.entry.number)
            has_cycle = any(numbers[0] < cycle < numbers[1] for cycle in cycles)
            if earlier.boot_id != later.boot_id and not has_cycle:
                is_reconnect = began[earlier.boot_id] != later.message.connection
                when = "at a reconnect" if is_reconnect else "within a connection"
                yield broken(
                    f"boot_id changed {when} from {earlier.boot_id!r} to {later.boot_id!r},"
                    " without a power cycle",
                    (earlier.entry, later.entry),
                )

    return first_broken(changes(), held("boot_id stays the same until the next power-up"))


def _new_boot_id(seen: Seen) -> Verdict:
    for asked, _, one in seen.hands("power"):
        if one.outcome != "done":
            continue
        later = [c for c in seen.connections if c.opened.number > asked.number]
        first = later[0].opened.number if later else len(seen.entries)
        before = [told for told in _numbered(seen) if told.entry.number < first]
        after = [told for told in _numbered(seen) if told.entry.number > first]
        if not before or not after:
            return unchecked("no messages before or after the power cycle")
        if after[0].boot_id in {told.boot_id for told in before}:
            return broken(
                f"boot_id is {after[0].boot_id!r} before and after the power cycle",
                (before[-1].entry, after[0].entry),
            )
        return held(f"new boot_id {after[0].boot_id!r} after the power cycle", after[0].entry)
    return unchecked("nobody switched the power off and on")


def _seq(seen: Seen) -> Verdict:
    by_boot: dict[str, list[Told]] = {}
    cycles = _power_cycles(seen)
    for one in _numbered(seen):
        cycle = sum(number < one.entry.number for number in cycles)
        by_boot.setdefault(f"{cycle}/{one.boot_id}", []).append(one)
    if not by_boot:
        return _NO_MESSAGE

    def faults() -> Iterator[Verdict]:
        for messages in by_boot.values():
            counted = [one for one in messages if one.seq is not None]
            for earlier, later in pairwise(counted):
                if line := _step(earlier.seq or 0, later.seq or 0):
                    yield broken(line, (earlier.entry, later.entry))

    total = sum(map(len, by_boot.values()))
    return first_broken(faults(), held(f"seq goes up by 1 with each of {total} messages"))


def _step(before: int, after: int) -> str | None:
    if after == before:
        return f"two messages have the same seq {after}"
    if after < before:
        return f"seq goes back from {before} to {after} within a boot"
    if after > before + 1:
        return f"seq jumps from {before} to {after}: messages in between were not sent"
    return None


def _hello(seen: Seen) -> Verdict:
    messages = _numbered(seen)
    if not messages:
        return _NO_MESSAGE
    boots = list(dict.fromkeys(one.boot_id for one in messages))
    if len({one.message.connection for one in messages}) > 1:  # a reconnect is not a power-up
        boots = [boots[0], *(boot for boot in boots[1:] if _began_with_power(seen, boot))]
    greeted = {one.boot_id for one in seen.of_type("hello")}
    for boot in boots:
        if boot not in greeted:
            first = next(one for one in messages if one.boot_id == boot)
            return broken(f"no hello with the boot_id {boot!r}", [first.entry])
    return held("a hello at each power-up", *(one.entry for one in seen.of_type("hello")[:2]))


def _began_with_power(seen: Seen, boot_id: str) -> bool:
    first = next(one for one in _numbered(seen) if one.boot_id == boot_id)
    cycles = _power_cycles(seen)
    return any(number < first.entry.number for number in cycles)


def _hello_fields(seen: Seen) -> Verdict:
    hellos = seen.of_type("hello")
    if not hellos:
        return unchecked("the cabinet has sent no hello")
    for one in hellos:
        total = whole(one.document.get("cells_total"))
        if total != seen.target.cells:
            line = f"hello: cells_total is {total}; registered are {seen.target.cells}"
            return broken(line, [one.entry])
        if not one.document.get("firmware"):
            return broken("hello: firmware is missing", [one.entry])
    return held(f"firmware {hellos[0].document['firmware']}", hellos[0].entry)


def _first_report(seen: Seen) -> Verdict:
    listening = [one for one in seen.listening if seen.target.commands in one.filters]
    if not listening:
        return unchecked("the cabinet has not subscribed to its commands")
    limit = seen.target.first_report_s
    for one in listening:
        report = _unasked_report(seen, one)
        late = report is not None and report.entry.seconds - one.opened.seconds > limit
        lasted = one.seconds(seen.now) >= limit
        if late or (report is None and lasted):
            number = one.connect.connection
            line = f"no complete state_report within {limit:g} s after connection {number} began"
            return broken(line, [one.opened, *one.subscriptions[:1]])
    first = _unasked_report(seen, listening[0])
    if first is None:
        return unchecked("the connection did not last long enough")
    seconds = first.entry.seconds - listening[0].opened.seconds
    return held(f"a state_report {seconds:.1f} s after the connection", first.entry)


def _unasked_report(seen: Seen, connection: Connection) -> Told | None:
    """Return the first report after a login that no command asked for."""
    end = connection.closed.number if connection.closed else len(seen.entries)
    reports = (
        one
        for one in seen.of_type("state_report")
        if connection.opened.number < one.entry.number <= end and not one.command_id
    )
    return next(reports, None)


RULES = (
    Rule(
        "hello",
        "The cabinet sends a hello at power-up",
        "It tells the service the firmware, the number of cells and the name of the session.",
        "Send hello first after the connect that follows a power-up, then a state_report.",
        "hello",
        _hello,
    ),
    Rule(
        "hello-fields",
        "hello has firmware, and cells_total as registered",
        "Another number of cells is kept as an anomaly; nobody uses the other cells.",
        "Send the number of doors that the cabinet has; correct the registration if it is wrong.",
        "hello",
        _hello_fields,
    ),
    Rule(
        "first-report",
        "A complete state report follows each connect",
        "Until it arrives, the service does not know what is in the cells.",
        "Send a state_report without command_id after each successful subscription.",
        "state_report",
        _first_report,
    ),
    Rule(
        "boot-id",
        "boot_id stays the same until the next power-up",
        "A new boot_id says that all older messages are out of date.",
        "Make boot_id once at start-up, and keep it over reconnects.",
        "order",
        _boot_id,
    ),
    Rule(
        "new-boot-id",
        "boot_id is new at each power-up",
        "With the old boot_id and numbers from 1, the service takes new messages for old ones.",
        "Make boot_id from a counter in flash or from random bytes at each start, never again the"
        " same.",
        "order",
        _new_boot_id,
    ),
    Rule(
        "seq",
        "seq goes up by 1 with each message of a boot",
        "The service applies a message to a cell only if its number is higher than the last.",
        "Keep one counter of at least 32 bits for all messages of a boot; count each message once,"
        " also those that wait for the network.",
        "order",
        _seq,
    ),
)
