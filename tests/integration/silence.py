"""What is lost between the service and a cabinet, and what arrives after all."""

from collections.abc import Callable
from typing import Any

from local.cabinet.hardware import Hardware
from tests.service import Message, Service


def unanswered(service: Service, booking: Any) -> str:
    """Unlock; the cabinet obeys, but nothing that it says arrives (it waits). The command's id."""
    service.hold_messages = True
    answer = service.unlock(booking)
    service.hold_messages = False
    assert answer.status == 504
    assert answer.body["code"] == "cabinet_no_answer"
    return str(answer.body["command_id"])


def unheard(service: Service, booking: Any) -> str:
    """Unlock; the command never reaches the cabinet. Its id."""
    service.lose_commands = True
    answer = service.unlock(booking)
    service.lose_commands = False
    assert answer.status == 504
    return str(answer.body["command_id"])


def in_silence(service: Service, action: Callable[[], Any]) -> Any:
    """Do it while everything that cabinets say is lost."""
    service.hold_messages = True
    result = action()
    service.hold_messages = False
    service.waiting.clear()
    return result


def execute_again(service: Service, hardware: Hardware, command: Message) -> None:
    """The command arrives at the cabinet once more, or at last."""
    for reply in hardware.handle(command):
        service.say(hardware.cabinet_id, reply.make())


def command(service: Service, command_id: str) -> Any:
    return service.get(f"/v1/commands/{command_id}")
