"""The context object that the cloud passes to a function."""

import time
from typing import Any
from uuid import uuid4


class Context:
    """A context with the attributes that the cloud documents."""

    function_version = "test-version"
    log_group_name = "test-log-group"
    log_stream_name = "test-log-stream"

    def __init__(
        self, *, seconds: float = 60, function_name: str = "test-function", memory: int = 256
    ) -> None:
        self.request_id = self.aws_request_id = str(uuid4())
        self.function_name = self.invoked_function_arn = function_name
        self.memory_limit_in_mb = memory
        self.deadline_ms = round((time.time() + seconds) * 1000)
        self.token: dict[str, Any] | None = {
            "access_token": "test-iam-token",
            "expires_in": 42299,
            "token_type": "Bearer",
        }

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the invocation times out."""
        return max(0, self.deadline_ms - round(time.time() * 1000))
