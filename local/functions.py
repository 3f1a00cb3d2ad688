"""The local Cloud Functions: run the deployed handlers in this process."""

import importlib
import json
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from local.quota import Quota

Handler = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Context:
    """A handler's context, with the attributes that the cloud documents."""

    aws_request_id: str
    deadline_ms: int
    function_name: str
    function_version: str
    invoked_function_arn: str
    log_group_name: str
    log_stream_name: str
    memory_limit_in_mb: int
    request_id: str
    token: dict[str, Any] | None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation times out."""
        return max(0, self.deadline_ms - time.time_ns() // 1_000_000)


class FunctionTimedOut(Exception):
    """The function did not return in time; its instance is abandoned."""


class FunctionThrottled(Exception):
    """The function, or all together, have as many calls in progress as they may have."""


@dataclass(eq=False)
class FunctionFailed(Exception):
    """The handler raised, could not be loaded, or returned a value that is not JSON."""

    error_type: str
    error_message: str
    stack_trace: list[str] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.error_type}: {self.error_message}"

    def report(self) -> dict[str, Any]:
        """The platform's description of the error."""
        return {
            "errorMessage": self.error_message,
            "errorType": self.error_type,
            "stackTrace": self.stack_trace,
        }


class FunctionPool:
    """The instances of all functions: each is a thread that serves one request at a time."""

    def __init__(
        self,
        handlers: Mapping[str, Handler] | None = None,
        *,
        token: dict[str, Any] | None = None,
        share_instances: bool = False,
        quota: Quota | None = None,
    ) -> None:
        """Use `functions.<name>.main.handler`, or the handler that `handlers` has for the name.

        `token` is given to the handlers as `context.token`. `share_instances`: an instance serves
        any function, so that tests need fewer threads and database connections than the cloud.
        `quota`: None for no limit.
        """
        self._load = _import_handler if handlers is None else handlers.__getitem__
        self._token = token
        self._share_instances = share_instances
        self._quota = quota
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._idle: dict[str, list[_Instance]] = {}
        self._closed = False

    def invoke(self, name: str, event: Any, *, timeout: float) -> Any:
        """Invoke a function; event and result pass through JSON.

        Raises FunctionTimedOut after `timeout` seconds, FunctionFailed, and FunctionThrottled.
        """
        body = json.dumps(event)
        context = _context(name, timeout, self._token)
        instance = self._take(name)
        future = instance.call(body, context)
        try:
            result = future.result(timeout)
        except TimeoutError:
            raise FunctionTimedOut(f"{name} did not return within {timeout:g} s") from None
        finally:
            with self._lock:
                self._busy[name] -= 1
            if future.done():
                self._give_back(name, instance)
            else:
                instance.end()
        return json.loads(result)

    def close(self) -> None:
        """End the idle instances now, and busy ones after their request."""
        with self._lock:
            self._closed = True
            idle = [instance for instances in self._idle.values() for instance in instances]
            self._idle.clear()
        for instance in idle:
            instance.end()
        deadline = time.monotonic() + 1
        for instance in idle:
            instance.thread.join(max(0, deadline - time.monotonic()))

    def _take(self, name: str) -> "_Instance":
        with self._lock:
            if self._closed:
                raise RuntimeError("the function pool is closed")
            if self._quota is not None and not self._quota.allows(name, self._busy):
                raise FunctionThrottled(name)
            self._busy[name] += 1
            idle = self._idle.get(self._kind(name))
            return idle.pop() if idle else _Instance(self._kind(name), self._load)

    def _give_back(self, name: str, instance: "_Instance") -> None:
        with self._lock:
            if not self._closed:
                self._idle.setdefault(self._kind(name), []).append(instance)
                return
        instance.end()

    def _kind(self, name: str) -> str:
        """Return the kind of instance that serves a function."""
        return "any" if self._share_instances else name


class _Instance:
    """A thread that serves one call after another until it is ended."""

    def __init__(self, kind: str, load: Callable[[str], Handler]) -> None:
        self._load = load
        self._calls: SimpleQueue[tuple[str, Context, Future[str]] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._serve, name=f"function {kind}", daemon=True)
        self.thread.start()

    def call(self, event: str, context: Context) -> Future[str]:
        """Start a call; return a future of the result as JSON."""
        future: Future[str] = Future()
        self._calls.put((event, context, future))
        return future

    def end(self) -> None:
        """End the thread after its current call."""
        self._calls.put(None)

    def _serve(self) -> None:
        while call := self._calls.get():
            event, context, future = call
            try:
                result = self._load(context.function_name)(json.loads(event), context)
                future.set_result(json.dumps(result, allow_nan=False))
            except BaseException as error:  # noqa: BLE001 - any exception is the outcome
                future.set_exception(_failure(error))


def _context(name: str, timeout: float, token: dict[str, Any] | None) -> Context:
    request_id = str(uuid4())
    return Context(
        aws_request_id=request_id,
        deadline_ms=int((time.time() + timeout) * 1000),
        function_name=name,
        function_version="local",
        invoked_function_arn=name,
        log_group_name="local",
        log_stream_name="local",
        memory_limit_in_mb=128,
        request_id=request_id,
        token=token,
    )


def _import_handler(name: str) -> Handler:
    handler: Handler = importlib.import_module(f"functions.{name}.main").handler
    return handler


def _failure(error: BaseException) -> FunctionFailed:
    stack = traceback.extract_tb(error.__traceback__)[1:]  # without this file's frame
    return FunctionFailed(type(error).__name__, str(error), traceback.format_list(stack))
