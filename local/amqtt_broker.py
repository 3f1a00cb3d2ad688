"""The broker if Mosquitto is not installed: amqtt 0.12.1, corrected for the local cloud.

Without the corrections, amqtt
- refuses topics that begin with $,
- drops messages that a client does not acknowledge within five seconds or before it disconnects,
- loses messages that it has acknowledged to a sender that disconnects at once,
- lets a refused login disturb the session of another client,
- sends nothing more to a client that has taken over a session.
It may still lose a QoS 0 message that arrives together with its sender's DISCONNECT.
The version is pinned, because private methods are overridden here.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from amqtt.adapters import ReaderAdapter, StreamReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.constants import QOS_1, QOS_2
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.protocol.handler import ProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.session import (
    ApplicationMessage,
    IncomingApplicationMessage,
    OutgoingApplicationMessage,
    Session,
)
from amqtt.utils import gen_client_id

from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, SERVICE_LOGIN, is_device_id, rights_of
from local.passwords import OwnPasswords, matches

_WILL = ("will_flag", "will_message", "will_qos", "will_retain", "will_topic")
_REPLACED_AT_RECONNECT = (*_WILL, "keep_alive", "username", "password")


class _Reader(StreamReaderAdapter):  # type: ignore[misc]  # amqtt is not typed for us
    async def read(self, n: int = -1) -> bytes:
        await asyncio.sleep(0)  # let the last packet's task begin before all tasks are cancelled
        return bytes(await super().read(n))


class _Connection(BrokerProtocolHandler):  # type: ignore[misc]  # amqtt is not typed for us
    """A client's connection. QoS 1 messages stay in its session until acknowledged."""

    def __init__(self, broker: "_Broker") -> None:
        super().__init__(broker.plugins_manager)
        self._broker = broker
        self._disconnect_waiter = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()

    async def start(self) -> None:
        await ProtocolHandler.start(self)  # super's loses a client that has already disconnected

    async def _retry_deliveries(self) -> None:
        """Do nothing: the broker has already started this, before it sends new messages."""

    async def _handle_message_flow(
        self, app_message: IncomingApplicationMessage | OutgoingApplicationMessage
    ) -> None:
        if app_message.qos == QOS_2 or self.session is None:
            await super()._handle_message_flow(app_message)
        elif isinstance(app_message, IncomingApplicationMessage):
            await self._broker.distribute(self.session, app_message)
            if app_message.qos == QOS_1:
                await self._send_packet(PubackPacket.build(app_message.packet_id))
        else:
            if app_message.qos == QOS_1:
                self.session.inflight_out[app_message.packet_id] = app_message
            await self.send(app_message)

    async def send(self, message: OutgoingApplicationMessage) -> None:
        """Send a message, marked as a duplicate if it was sent before."""
        again = message.publish_packet is not None
        message.publish_packet = message.build_publish_packet(dup=again)
        await self._send_packet(message.publish_packet)

    async def handle_puback(self, puback: PubackPacket) -> None:
        if self.session is not None and puback.variable_header is not None:
            self.session.inflight_out.pop(puback.variable_header.packet_id, None)


class _Broker(Broker):  # type: ignore[misc]  # amqtt is not typed for us
    def __init__(self, config: dict[str, Any], own_passwords: OwnPasswords) -> None:
        super().__init__(config)
        self._own_passwords = own_passwords

    def _may_log_in(self, session: Session) -> bool:
        name, password = session.username or "", session.password or ""
        if not is_device_id(name):
            return (name, password) in (SERVICE_LOGIN, BRIDGE_LOGIN)
        own = self._own_passwords.hashes().get(name)
        return password == DEVICE_PASSWORD if own is None else matches(password, own)

    async def disconnect_refused(self) -> None:
        """Disconnect the clients whose passwords have changed."""
        for session, connection in list(self._sessions.values()):
            if not connection.closed.is_set() and not self._may_log_in(session):
                await connection.handle_connection_closed()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        await self._client_connected(listener_name, _Reader(reader), StreamWriterAdapter(writer))

    async def distribute(self, session: Session, message: ApplicationMessage) -> None:
        """Forward a client's message to its readers, if the client may publish it."""
        if await self._topic_filtering(session, message.topic, Action.PUBLISH):
            await self._broadcast_message(session, message.topic, message.data)
            if message.retain:
                await self.retain_message(session, message.topic, message.data, message.qos)

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        rights = rights_of(session.username)
        if action is Action.PUBLISH:
            is_name = "+" not in topic and "#" not in topic
            return is_name and any(self._matches(topic, allowed) for allowed in rights.writes)
        return any(self._matches(topic, allowed) for allowed in rights.reads)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        topic_filter, qos = subscription
        return int(await super().add_subscription((topic_filter, min(qos, QOS_1)), session))

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, *_address: Any
    ) -> tuple[_Connection, Session]:
        try:
            _, session = await BrokerProtocolHandler.init_from_connect(
                reader, writer, self.plugins_manager
            )
            if not self._may_log_in(session):
                await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
                raise MQTTError(f"login of {session.username!r} refused")  # noqa: TRY301 - closes too
        except (AMQTTError, MQTTError, NoDataError):
            await writer.close()
            raise
        is_device = is_device_id(session.username or "")
        session.client_id = session.username if is_device else session.client_id or gen_client_id()
        await self._end_connection_of(session.client_id)
        return _Connection(self), await self._resume(session)

    async def _end_connection_of(self, client_id: str) -> None:
        while (known := self._sessions.get(client_id)) and not known[1].closed.is_set():
            await known[1].handle_connection_closed()
            await known[1].closed.wait()

    async def _resume(self, session: Session) -> Session:
        """Return the client's session: its previous one, unless it requests a clean session."""
        if session.clean_session or session.client_id not in self._sessions:
            await self._delete_session(session.client_id)
            return session
        known, _ = self._sessions[session.client_id]
        for name in _REPLACED_AT_RECONNECT:
            setattr(known, name, getattr(session, name))
        for number, message in list(known.inflight_out.items()):
            if _is_command(message.topic):
                del known.inflight_out[number]
        known.parent = 1
        return known

    async def _handle_client_session(
        self,
        reader: ReaderAdapter,
        writer: WriterAdapter,
        client_session: Session,
        handler: _Connection,
        *_listener: Any,
    ) -> None:
        handler.attach(client_session, reader, writer)
        self._sessions[client_session.client_id] = (client_session, handler)
        try:
            await handler.mqtt_connack_authorize(True)  # noqa: FBT003 - amqtt's signature
            client_session.transitions.connect()
            for message in client_session.inflight_out.values():
                self._tasks_queue.append(asyncio.create_task(handler.send(message)))
            await handler.start()
            await self._client_message_loop(client_session, handler)
        finally:
            if client_session.clean_session:
                await self._delete_session(client_session.client_id)
            handler.closed.set()

    async def _handle_message_delivery(
        self, session: Session, _handler: _Connection, arrived: asyncio.Future[Any]
    ) -> bool:
        """Forward the messages that amqtt itself has queued: QoS 2."""
        if arrived.result() is not None:
            await self.distribute(session, arrived.result())
        return True

    async def _retain_broadcast_message(
        self, broadcast: dict[str, Any], qos: int, target_session: Session
    ) -> None:
        """Queue a message for a client that is not connected, behind unacknowledged ones.

        Not a command: without MQTT 5 it cannot expire.
        """
        if _is_command(broadcast["topic"]):
            return
        number = target_session.next_packet_id
        target_session.inflight_out[number] = OutgoingApplicationMessage(
            number, broadcast["topic"], qos, broadcast["data"], retain=False
        )


def _is_command(topic: str) -> bool:
    return topic.endswith("/commands")


async def _serve(host: str, port: int, own_passwords: Path) -> None:
    listener = {"type": "tcp", "bind": f"{host}:{port}"}
    broker = _Broker(
        {"listeners": {"default": listener}, "plugins": {}}, OwnPasswords(own_passwords)
    )
    changed = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, changed.set)
    await broker.start()
    while await changed.wait():
        changed.clear()
        await broker.disconnect_refused()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
