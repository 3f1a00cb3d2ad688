"""Cloud Functions: triggers."""

import re
from typing import Any

from yandex.cloud.iam.v1.service_account_pb2 import ServiceAccount
from yandex.cloud.serverless.functions.v1.function_pb2 import Function
from yandex.cloud.serverless.triggers.v1.trigger_pb2 import Trigger

from local.yandex_cloud.refusals import Refused, invalid, not_found
from local.yandex_cloud.service import Collection

_QUEUE = re.compile(r"yrn:yc:ymq:[a-z0-9-]+:[a-z0-9]+:[A-Za-z0-9_-]{1,80}(\.fifo)?")
_ANY_DAY = "?"
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_NO_NAMES: list[str] = []
_FIELDS = (
    ("minutes", 0, 59, _NO_NAMES),
    ("hours", 0, 23, _NO_NAMES),
    ("day of month", 1, 31, _NO_NAMES),
    ("month", 1, 12, _MONTHS),
    ("day of week", 1, 7, _DAYS),
    ("year", 1970, 2099, _NO_NAMES),
)


class Triggers(Collection):
    """Triggers. Timers only: the project has no others."""

    proto, name = "yandex.cloud.serverless.triggers.v1.trigger_service", "TriggerService"
    resource, noun, prefix = Trigger, "Trigger", "a1s"
    quota = ("serverless.triggers.count", 100)

    def check(self, resource: Any) -> None:
        """Check the timer, and what it invokes."""
        kind = resource.rule.WhichOneof("rule")
        if kind != "timer":
            raise Refused.unimplemented(f"a trigger with the rule {kind}")
        timer = resource.rule.timer
        check_cron(timer.cron_expression)
        action = timer.WhichOneof("action")
        if action not in ("invoke_function", "invoke_function_with_retry"):
            raise Refused.unimplemented(f"a timer with the action {action}")
        invoked = getattr(timer, action)
        if self.state.get(Function, invoked.function_id) is None:
            raise not_found("Function", invoked.function_id)
        self._check_account(invoked.service_account_id)
        if action == "invoke_function_with_retry" and invoked.HasField("dead_letter_queue"):
            self._check_queue(invoked.dead_letter_queue)

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Start the trigger."""
        resource.status = Trigger.ACTIVE

    def pause(self, request: Any) -> Any:
        """Stop the trigger."""
        return self._set(request, Trigger.PAUSED)

    def resume(self, request: Any) -> Any:
        """Start the trigger again."""
        return self._set(request, Trigger.ACTIVE)

    def _set(self, request: Any, status: int) -> Any:
        trigger = self.find(request.trigger_id)
        trigger.status = status
        return self.save(trigger)

    def _check_account(self, account: str) -> None:
        if account and self.state.get(ServiceAccount, account) is None:
            raise invalid(f"Service account {account} is not available")

    def _check_queue(self, queue: Any) -> None:
        if not _QUEUE.fullmatch(queue.queue_id):
            raise invalid(
                f"Queue id {queue.queue_id} is not an ARN: yrn:yc:ymq:ru-central1:FOLDER:NAME"
            )
        self._check_account(queue.service_account_id)


def check_cron(expression: str) -> None:
    """Raise Refused for an expression that the platform does not accept."""
    fields = expression.split()
    if len(fields) not in (len(_FIELDS) - 1, len(_FIELDS)):
        raise _cron(expression, f"{len(fields)} fields instead of 5 or 6")
    if (fields[2] == _ANY_DAY) == (fields[4] == _ANY_DAY):
        raise _cron(expression, "exactly one of day of month and day of week must be ?")
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=False):
        if text == _ANY_DAY and name in ("day of month", "day of week"):
            continue
        if not all(_is_part(part, low, high, names) for part in text.split(",")):
            raise _cron(expression, f"{name} {text}")


def _is_part(part: str, low: int, high: int, names: list[str]) -> bool:
    part, _, step = part.partition("/")
    if step and not step.isdecimal():
        return False
    if low == 1 and re.fullmatch(r"L|LW|\d+[LW#]|\d+#[1-5]", part):
        return True
    if part == "*":
        return True
    ends = [str(names.index(end) + low) if end in names else end for end in part.split("-", 1)]
    return all(end.isdecimal() and low <= int(end) <= high for end in ends)


def _cron(expression: str, reason: str) -> Refused:
    return invalid(f"Invalid cron expression {expression}: {reason}")
