"""The gRPC server: finds an RPC's method, decodes and validates the request, answers."""

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from local.yandex_cloud import operations
from local.yandex_cloud.refusals import Refused
from local.yandex_cloud.service import Rpc, Service
from local.yandex_cloud.validation import validate

_TOKEN = re.compile(r"Bearer t1\.[^.]+\.[^.]+")
_OPEN = "/yandex.cloud.endpoint."
_THREADS = 16

Recorder = Callable[[str, Message, Message | Refused], None]


@dataclass(frozen=True)
class _Method:
    service: Service
    descriptor: MethodDescriptor
    rpc: Rpc


class Server(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Answers the RPCs of some services."""

    def __init__(self, services: list[Service], record: Recorder | None = None) -> None:
        self.calls: Counter[str] = Counter()
        """How often each RPC was called, by its full name."""
        self._record = record
        self._methods = {
            f"/{service.descriptor().full_name}/{descriptor.name}": _Method(
                service, descriptor, rpc
            )
            for service in services
            for descriptor, rpc in service.rpcs()
        }

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a call; gRPC calls this."""
        name = handler_call_details.method
        self.calls[name] += 1
        method = self._methods.get(name)
        if method is None:
            return grpc.unary_unary_rpc_method_handler(_refuse(f"{name} is not in this fake"))
        if not name.startswith(_OPEN) and not _has_token(handler_call_details):
            return grpc.unary_unary_rpc_method_handler(_deny)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._answer(method, request, context),
            request_deserializer=GetMessageClass(method.descriptor.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _answer(self, method: _Method, request: Message, context: grpc.ServicerContext) -> Message:
        try:
            answer = self._call(method, request)
        except Refused as refused:
            context.abort(refused.code, refused.message)
            raise
        return answer

    def _call(self, method: _Method, request: Message) -> Message:
        with method.service.state.transaction():
            try:
                answer = self._change(method, request)
            except Refused as refused:
                self._keep(method, request, refused)
                raise
            self._keep(method, request, answer)  # inside, so that the order is that of the changes
            return answer

    def _change(self, method: _Method, request: Message) -> Message:
        validate(request)
        response = method.rpc(request)
        if operations.is_operation(method.descriptor):
            return operations.wrap(method.service, method.descriptor, request, response)
        return response

    def _keep(self, method: _Method, request: Message, answer: Message | Refused) -> None:
        if self._record:
            self._record(method.descriptor.full_name, request, answer)


def serve(handler: Server, *, port: int, key: bytes, certificate: bytes) -> tuple[grpc.Server, int]:
    """Start a server on this machine; return it and its port. `port` 0: a free one."""
    server = grpc.server(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="yandex-cloud"),
        handlers=[handler],
        options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)],
    )
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    bound = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    server.start()
    return server, bound


def _has_token(details: Any) -> bool:
    return any(
        key == "authorization" and _TOKEN.fullmatch(value)
        for key, value in details.invocation_metadata
    )


def _refuse(message: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:  # noqa: ARG001 - of gRPC
        context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
        return b""

    return answer


def _deny(request: bytes, context: grpc.ServicerContext) -> bytes:  # noqa: ARG001 - of gRPC
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "The token is invalid")
    return b""
