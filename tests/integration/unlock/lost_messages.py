"""Unlocks whose command or reply is lost, and replies that arrive late."""

from collections.abc import Callable
from typing import Any

from local.cabinet.hardware import Hardware
from tests.support.service import Message, Service


def unlock_without_reply(service: Service, booking: Any) -> str:
    """Unlock while the cabinet's messages are held back; return the command's id."""
    service.hold_messages = True
    response = service.unlock(booking)
    service.hold_messages = False
    assert response.status == 504
    assert response.body["code"] == "cabinet_no_answer"
    return str(response.body["command_id"])


def unlock_not_received(service: Service, booking: Any) -> str:
    """Unlock with a command that does not reach the cabinet; return its id."""
    service.lose_commands = True
    response = service.unlock(booking)
    service.lose_commands = False
    assert response.status == 504
    return str(response.body["command_id"])


def while_messages_are_lost(service: Service, action: Callable[[], Any]) -> Any:
    """Run `action` and lose every message that it makes cabinets send; return its result."""
    service.hold_messages = True
    result = action()
    service.hold_messages = False
    service.held_messages.clear()
    return result


def execute_late(service: Service, hardware: Hardware, command: Message) -> None:
    """Let the cabinet receive the command now, perhaps again, and deliver its reply."""
    for reply in hardware.handle(command):
        service.send_from(hardware.cabinet_id, reply.make())


def get_command(service: Service, command_id: str) -> Any:
    return service.get(f"/v1/commands/{command_id}")
