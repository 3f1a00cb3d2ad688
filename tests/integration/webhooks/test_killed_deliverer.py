"""A deliverer that is killed between the receiver's answer and the record of it."""

import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler

from tests.integration.webhooks.delivering import deliver, make_events, subjects, subscribe
from tests.support.processes import ROOT
from tests.support.receiver import Receiver, status
from tests.support.service import Service

NAMES = [f"A-{number:02}" for number in range(40)]
KILL_AT = 20
PROGRAM = """
from functions.events.main import handler
from local.timer import timer_event
from tests.support.cloud import Context
handler(timer_event(), Context())
"""


def test_what_was_sent_before_a_kill_comes_again_and_nothing_is_missed(
    service: Service, receiver: Receiver
) -> None:
    made = subscribe(service, receiver, types=["accumulator.changed"])
    make_events(service, *NAMES)
    environment = dict(os.environ)  # noqa: TID251 - has the service's settings
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment) as process:

        def kill_in_the_middle(request: BaseHTTPRequestHandler, it: Receiver) -> None:
            if len(it.received) == KILL_AT:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            status(200)(request, it)

        receiver.answer = kill_in_the_middle
        assert process.wait(60) == -signal.SIGKILL
    receiver.answer = status(200)
    assert len(receiver.received) == KILL_AT
    assert deliver().delivered == 0  # until the dead one's lease ends
    service.advance_time(31)
    deliver()
    came = subjects(receiver, made["secret"])
    assert list(dict.fromkeys(came)) == NAMES
    assert came[KILL_AT - 1] in came[KILL_AT:]
    assert len(set(receiver.ids)) == len(NAMES)
    assert came[KILL_AT:] == NAMES[NAMES.index(came[KILL_AT]) :]
