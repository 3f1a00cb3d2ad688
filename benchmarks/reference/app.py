"""Reference implementation: unlock and booking in one resident process, with the service's schema.

It waits for a cabinet's reply with a future in memory, so only one instance may run. For bookings
and answered unlocks it makes the same checks and records as the service. It has no reports,
evidence, swaps, idempotency or recovery after a crash.
"""

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import aiomqtt
import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import ConfigDict

from benchmarks.reference import statements
from local.broker import BRIDGE_LOGIN, SERVICE_LOGIN
from shared import config
from shared.commands.unlock import Unlock as UnlockCommand
from shared.messages import CommandResult
from shared.models.bookings import Booking, BookingRequest
from shared.models.commands import Unlock
from shared.protocols import Undecodable, native_v1

_AT_ONCE = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
_settings = config.read(config.Settings, os.environ)  # noqa: TID251 - a program of its own
_keys = {entry.split(":")[2] for entry in _settings.api_keys.split(",") if entry}
_waiting: dict[UUID, asyncio.Future[dict[str, Any]]] = {}


class Wanted(BookingRequest):
    """A booking request whose validator is built at import."""

    model_config = ConfigDict(defer_build=False)


class _Parts:
    database: asyncpg.Pool
    queue: aiomqtt.Client


def _client(login: tuple[str, str]) -> aiomqtt.Client:
    username, password = login
    return aiomqtt.Client(
        _settings.mqtt_host,
        _settings.mqtt_port,
        username=username,
        password=password,
        keepalive=600,  # this process is stopped while the service is measured
        socket_options=_AT_ONCE,
    )


@asynccontextmanager
async def _running(_: FastAPI) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        pool = asyncpg.create_pool(
            _settings.database_url, min_size=4, max_size=16, init=_with_json, reset=_as_it_is
        )
        _Parts.database = await stack.enter_async_context(pool)
        _Parts.queue = await stack.enter_async_context(_client(SERVICE_LOGIN))
        events = await stack.enter_async_context(_client(BRIDGE_LOGIN))
        await events.subscribe("$devices/+/events", qos=1)
        listening = asyncio.create_task(_listen(events))
        yield
        listening.cancel()


async def _with_json(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )


async def _as_it_is(_: Any) -> None:
    """Reset nothing between uses: sessions have no state."""


async def _authorized(authorization: str = Header("")) -> None:
    key = authorization.removeprefix("Bearer ")
    if hashlib.sha256(key.encode()).hexdigest() not in _keys:
        raise HTTPException(403)


app = FastAPI(lifespan=_running, dependencies=[Depends(_authorized)])


@app.post("/v1/bookings", status_code=201)
async def book(wanted: Wanted) -> Response:
    """Hold cells."""
    charge = _settings.min_issue_charge if wanted.min_charge is None else wanted.min_charge
    async with _Parts.database.acquire() as connection, connection.transaction():
        cabinet = await connection.fetchrow(
            statements.LOCK_CABINET, wanted.cabinet_id, _settings.offline_after_seconds
        )
        if cabinet is None:
            raise HTTPException(404)
        if not cabinet["online"] or not _in_service(cabinet["status"], cabinet["alarms"]):
            raise HTTPException(409)
        await connection.execute(statements.EXPIRE, wanted.cabinet_id)
        row = await connection.fetchrow(
            statements.BOOK,
            uuid4(),
            wanted.cabinet_id,
            wanted.contractor_id,
            wanted.kind,
            wanted.count,
            charge,
            _settings.booking_seconds,
        )
        if len(row["cells"]) < (1 if wanted.allow_partial else wanted.count):
            raise HTTPException(409)
    return _json(Booking.model_validate(dict(row)), 201)


@app.post("/v1/bookings/{booking_id}/unlock")
async def unlock(booking_id: UUID) -> Response:
    """Open a booking's cells and wait for the cabinet."""
    command_id = uuid4()
    answer = _waiting[command_id] = asyncio.get_running_loop().create_future()
    try:
        async with _Parts.database.acquire() as connection:
            command, device_id = await _decide(connection, booking_id, command_id)
            payload = native_v1.encode(
                command,
                command_id=command_id,
                issued_at=datetime.now(UTC),
                ttl_s=_settings.command_ttl_seconds,
            )
            await _Parts.queue.publish(f"$devices/{device_id}/commands", payload, qos=1)
            await connection.execute(statements.PUBLISHED, command_id)
        settled = await asyncio.wait_for(answer, _settings.unlock_wait_seconds)
    except TimeoutError:
        await _Parts.database.execute(statements.GIVE_UP, command_id)
        raise HTTPException(504) from None
    finally:
        del _waiting[command_id]
    if settled["reason"]:
        raise HTTPException(502, settled["reason"])
    found = {"booking_id": booking_id, "command_id": command_id, **settled}
    return _json(Unlock.model_validate(found), 200)


async def _decide(connection: Any, booking_id: UUID, command_id: UUID) -> tuple[UnlockCommand, str]:
    async with connection.transaction():
        booking = await connection.fetchrow(statements.LOCK_BOOKING, booking_id)
        if booking is None:
            raise HTTPException(404)
        in_service = _in_service(booking["cabinet_status"], booking["alarms"])
        if booking["status"] != "active" or booking["expired"] or not in_service:
            raise HTTPException(409)
        fit = await connection.fetch(statements.RELEASE_UNFIT, booking_id)
        if not fit:
            raise HTTPException(409)
        command = UnlockCommand(cells=[row["cell_number"] for row in fit])
        await connection.execute(
            statements.COMMAND,
            command_id,
            booking["cabinet_id"],
            command.payload(),
            booking_id,
            _settings.unlock_wait_seconds,
        )
    return command, booking["device_id"]


async def _listen(events: aiomqtt.Client) -> None:
    """Settle each reply in its own transaction, concurrently."""
    tasks: set[asyncio.Task[None]] = set()
    async for event in events.messages:
        device_id = str(event.topic).split("/")[1]
        task = asyncio.create_task(_take(device_id, bytes(event.payload or b"")))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _take(device_id: str, payload: bytes) -> None:
    try:
        message = native_v1.decode(payload).message
    except Undecodable:
        return
    async with _Parts.database.acquire() as connection:
        if not isinstance(message, CommandResult):
            await connection.execute(statements.HEARD, device_id)
            return
        command_id = UUID(message.command_id)
        async with connection.transaction():
            known = await connection.fetchrow(
                statements.LOCK_COMMAND, device_id, command_id, message.boot_id
            )
            if known is None or known["status"] not in {"pending", "published", "no_answer"}:
                return
            settled = await _settle(connection, command_id, known, message)
    if (answer := _waiting.get(command_id)) and not answer.done():
        answer.set_result(settled)


async def _settle(
    connection: Any, command_id: UUID, known: Any, message: CommandResult
) -> dict[str, Any]:
    cells = [cell.model_dump() for cell in message.cells]
    opened = sum(cell["result"] == "opened" for cell in cells)
    refusal = None if message.status == "done" else message.reason or message.status
    asked = len(known["cells"])
    status = "rejected" if refusal else _success(opened, asked, "succeeded", "failed")
    done = "returning" if known["kind"] == "return" else "completed"
    booking = _success(opened, known["requested"], done, "active")
    await connection.execute(
        statements.SETTLE,
        command_id,
        cells,
        status,
        refusal,
        booking,
        known["boot_no"],
        message.seq,
    )
    late = known["status"] == "no_answer"
    return {"status": booking, "cells": cells, "late": late, "reason": refusal}


def _success(done: int, asked: int, whole: str, none: str) -> str:
    return none if not done else whole if done == asked else f"partially_{whole}"


def _in_service(status: str, alarms: list[str]) -> bool:
    return status == "active" and not {*alarms} & {*_settings.stop_alarms.split(",")}


def _json(model: Booking | Unlock, status: int) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")
