"""Rules on logins, sessions, subscriptions and topics."""

from collections.abc import Iterator

from tools.conformance.packets import MQTT_5, Will
from tools.conformance.rules import Rule, Verdict, broken, first_broken, held, unchecked
from tools.conformance.transcript import Entry
from tools.conformance.view import Connection, Seen, document_of, text

_CONNECTION = "connection-and-topics"
_LEVELS = {3: "3.1", 4: "3.1.1", MQTT_5: "5"}
_NO_CONNECTION = unchecked("the cabinet has not connected")


def _login(seen: Seen) -> Verdict:
    refused = [one for one in seen.connections if one.code]
    wrong = [one for one in refused if one.connect.username != seen.target.device_id]
    if refused:
        name = (wrong or refused)[0].connect.username
        why = (
            f"it logs in as {name!r}, not as {seen.target.device_id!r}"
            if wrong
            else "the user name is right, so the password is wrong"
        )
        code = refused[0].code
        return broken(f"the broker refused the login (code {code}): {why}", _opened(refused))
    accepted = [one for one in seen.connections if one.is_accepted]
    if not accepted:
        return _NO_CONNECTION
    return held(f"logged in as {accepted[0].connect.username!r}", accepted[0].opened)


def _version(seen: Seen) -> Verdict:
    if not seen.connections:
        return _NO_CONNECTION
    levels = {one.connect.level for one in seen.connections}
    names = ", ".join(sorted(_LEVELS.get(level, f"level {level}") for level in levels))
    if levels <= {4, MQTT_5}:
        return held(f"MQTT {names}", seen.connections[0].opened)
    return broken(f"the cabinet speaks MQTT {names}, not 3.1.1 or 5", _opened(seen.connections))


def _one_client(seen: Seen) -> Verdict:
    accepted = [one for one in seen.connections if one.is_accepted]
    if not accepted:
        return _NO_CONNECTION
    for index, later in enumerate(accepted):
        for earlier in accepted[:index]:
            is_open = earlier.closed is None or earlier.closed.number > later.opened.number
            names = (earlier.connect.client_id, later.connect.client_id)
            if is_open and (names[0] != names[1] or not names[0]):
                line = f"two connections at the same time, {_names(*names)}"
                return broken(line, (earlier.opened, later.opened))
    return held(f"one connection at a time, {len(accepted)} in all", accepted[0].opened)


def _names(earlier: str, later: str) -> str:
    if earlier or later:
        return f"with the client ids {earlier!r} and {later!r}"
    return "both without a client id"


def _clean_session(seen: Seen) -> Verdict:
    if not seen.connections:
        return _NO_CONNECTION
    kept = [one for one in seen.connections if one.connect.session_expiry_s]
    if kept:
        line = "the cabinet asks the broker for a persistent session (clean session is off)"
        if kept[0].connect.level == MQTT_5:
            seconds = kept[0].connect.session_expiry_s
            line = f"the cabinet asks for a persistent session: session expiry {seconds} s, not 0"
        return broken(line, _opened(kept))
    return held(
        "each login asks for a session that ends with the connection", *_opened(seen.connections)
    )


def _subscribed(seen: Seen, topic: str, what: str) -> Verdict:
    if not seen.listening:
        return unchecked("no connection was long enough to subscribe")
    missing = [one for one in seen.listening if topic not in one.filters]
    if not missing:
        return held(f"subscribed to {topic} at each connection", *_subscriptions(seen))
    if len(missing) < len(seen.listening):
        number = missing[0].connect.connection
        line = f"connection {number} does not subscribe to {topic} again: {what}"
    else:
        line = f"the cabinet does not subscribe to {topic}: {what}"
    return broken(line, _opened(missing))


def _commands_topic(seen: Seen) -> Verdict:
    return _subscribed(seen, seen.target.commands, "no command reaches it")


def _registry_topic(seen: Seen) -> Verdict:
    return _subscribed(seen, seen.target.broadcasts, "polls do not reach it")


def _subscribe_qos(seen: Seen) -> Verdict:
    subscribed = [one for one in seen.connections if one.filters]
    if not subscribed:
        return unchecked("the cabinet has subscribed to nothing")
    for one in subscribed:
        for topic, qos in one.filters.items():
            if qos:
                return broken(f"{topic} is subscribed at QoS {qos}, not 0", one.subscriptions)
    return held("all subscriptions are at QoS 0", *_subscriptions(seen))


def _own_topics(seen: Seen) -> Verdict:
    if not seen.connections:
        return _NO_CONNECTION
    allowed = {seen.target.commands, seen.target.broadcasts}

    def foreign() -> Iterator[Verdict]:
        for one in seen.connections:
            for topic in set(one.filters) - allowed:
                yield broken(
                    f"the cabinet subscribes to {topic}, which is not its own", one.subscriptions
                )
        for entry, message in seen.published:
            if message.topic != seen.target.events:
                yield broken(
                    f"the cabinet publishes to {message.topic}, not to {seen.target.events}",
                    [entry],
                )

    return first_broken(foreign(), held("only the cabinet's own topics are used"))


def _publish_qos(seen: Seen) -> Verdict:
    if not seen.published:
        return unchecked("the cabinet has published nothing")
    wrong = [(entry, message.qos) for entry, message in seen.published if message.qos != 1]
    if wrong:
        line = f"{len(wrong)} of {len(seen.published)} messages are published at QoS {wrong[0][1]}"
        return broken(f"{line}, not 1", (entry for entry, _ in wrong))
    return held("all messages are published at QoS 1", seen.published[0][0])


def _retained(seen: Seen) -> Verdict:
    if not seen.published:
        return unchecked("the cabinet has published nothing")
    retained = [entry for entry, message in seen.published if message.retain]
    if retained:
        return broken(f"{len(retained)} messages have the retain flag", retained)
    wills = [one for one in seen.connections if one.connect.will and one.connect.will.retain]
    if wills:
        return broken("the last will has the retain flag", _opened(wills))
    return held("no message has the retain flag", seen.published[0][0])


def _will(seen: Seen) -> Verdict:
    wills = [one for one in seen.connections if one.is_accepted and one.connect.will]
    if not wills:
        return unchecked("the cabinet has no last will, which is optional")
    for one in wills:
        if one.connect.will and (fault := _will_fault(seen, one, one.connect.will)):
            return broken(fault, [one.opened])
    return held("the last will is a goodbye with the session of the hello", wills[0].opened)


def _will_fault(seen: Seen, connection: Connection, will: Will) -> str | None:
    document = document_of(will.payload)
    hellos = [
        one
        for one in seen.of_type("hello")
        if one.message.connection == connection.connect.connection
    ]
    if will.topic != seen.target.events:
        return f"the topic of the last will is {will.topic}, not {seen.target.events}"
    if document is None or document.get("type") != "goodbye":
        return "the last will is not a message of type goodbye"
    for name in ("session", "boot_id"):
        value = text(document.get(name))
        differs = [one for one in hellos if text(one.document.get(name)) != value]
        if not value or differs:
            given = text(differs[0].document.get(name)) if differs else "none"
            return f"the {name} of the last will is {value!r}; that of the hello is {given!r}"
    return None


def _reconnects(seen: Seen) -> Verdict:
    began, ended = seen.steps("cut", "began"), seen.steps("cut")
    if not began or not ended:
        return unchecked("the connection was not cut")
    later = [
        one
        for one in seen.connections
        if one.is_accepted and began[-1].number < one.opened.number < ended[-1].number
    ]
    if not later:
        last = seen.connections[-1].closed if seen.connections else None
        line = f"no new connection within {seen.target.reconnect_s:g} s after the last was lost"
        return broken(line, [last or began[-1]])
    return held("connected again after the connection was cut", later[0].opened)


def _opened(connections: list[Connection]) -> list[Entry]:
    return [one.opened for one in connections]


def _subscriptions(seen: Seen) -> list[Entry]:
    return [entry for one in seen.connections for entry in one.subscriptions]


RULES = (
    Rule(
        "login",
        "The cabinet logs in with its device id and password",
        "The broker knows cabinets by their login; without it, nothing arrives.",
        "Use the device id as the MQTT user name, and the password that was handed over.",
        _CONNECTION,
        _login,
    ),
    Rule(
        "version",
        "The cabinet speaks MQTT 3.1.1 or 5",
        "Brokers refuse MQTT 3.1.",
        "Set the client's protocol version to 3.1.1 (level 4) or 5.",
        _CONNECTION,
        _version,
    ),
    Rule(
        "one-client",
        "A cabinet is one MQTT client",
        "A second connection hides that the first is lost, and messages lose their order.",
        "Publish and subscribe over one connection, with the same client id after each reconnect.",
        _CONNECTION,
        _one_client,
    ),
    Rule(
        "clean-session",
        "The session ends with the connection",
        "A persistent session keeps commands for a cabinet that is away: a door would open later.",
        "Set clean session (MQTT 5: session expiry 0) at each connect.",
        _CONNECTION,
        _clean_session,
    ),
    Rule(
        "commands-topic",
        "The cabinet subscribes to its commands after each connect",
        "A clean session has no subscriptions: a cabinet that does not subscribe again hears"
        " nothing, although it is connected.",
        "Subscribe in the callback of every connect, not once at start-up.",
        _CONNECTION,
        _commands_topic,
    ),
    Rule(
        "registry-topic",
        "The cabinet subscribes to the commands of its registry after each connect",
        "The service asks all cabinets at once for their state, each minute.",
        "Subscribe to $registries/<registry_id>/commands as well, after every connect.",
        _CONNECTION,
        _registry_topic,
    ),
    Rule(
        "subscribe-qos",
        "The cabinet subscribes at QoS 0",
        "At QoS 1 the broker may deliver an unlock twice, and opens a door twice.",
        "Subscribe with QoS 0.",
        _CONNECTION,
        _subscribe_qos,
    ),
    Rule(
        "own-topics",
        "The cabinet uses only its own topics",
        "The broker refuses other topics; some brokers end the connection.",
        "Publish to $devices/<device_id>/events only; subscribe to no wildcard.",
        _CONNECTION,
        _own_topics,
    ),
    Rule(
        "publish-qos",
        "The cabinet publishes at QoS 1",
        "At QoS 0 a result is lost with the connection, and the command stays unsettled.",
        "Publish every message with QoS 1, and keep it until the broker has acknowledged it.",
        _CONNECTION,
        _publish_qos,
    ),
    Rule(
        "retained",
        "No message is retained",
        "A retained message is delivered again whenever the service connects.",
        "Publish without the retain flag; the last will, too.",
        _CONNECTION,
        _retained,
    ),
    Rule(
        "will",
        "The last will, if there is one, is a goodbye with the session of the hello",
        "The service believes a goodbye only if its session is that of the last hello.",
        "Make a new session for each connection; put it into the last will and into the hello that"
        " follows.",
        "goodbye",
        _will,
    ),
    Rule(
        "reconnects",
        "The cabinet connects again after the connection is lost",
        "A cabinet that stays away gets no bookings.",
        "Retry for ever, with a pause that grows to a minute at most.",
        _CONNECTION,
        _reconnects,
    ),
)
