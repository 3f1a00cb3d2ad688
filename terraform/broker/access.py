#!/usr/bin/env python3
"""The logins and rights of a broker that asks for them, such as RabbitMQ.

The answers are from Mosquitto's files: `acl`, `passwords` and `passwords.own`.

    access.py DIRECTORY PORT

An HTTP server on the loopback, which rabbitmq_auth_backend_http asks. It needs nothing but Python.
The files are read again when they change.
"""

import base64
import hashlib
import hmac
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs

HOST = "127.0.0.1"
OWN_LOGINS = ("service", "bridge")
DEVICE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Ids that RabbitMQ can carry: it turns each `/` of a topic into a dot, so an id has none."""
_QUEUE = re.compile(r"mqtt-subscription-(.*)qos[01]", re.DOTALL)

Question = Mapping[str, str]


class Rule(NamedTuple):
    """A line of the acl: what may or may not be done with topics."""

    action: str  # read, write, deny
    topic: str


class Access:
    """Answers whether a client may log in, and what it may do."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, tuple[tuple[int, int], str]] = {}

    def may_log_in(self, question: Question) -> bool:
        """Whether password and client id are right.

        A device's client id is its login; those of service and bridge are no device's login.
        """
        login = question.get("username", "")
        is_own = login in OWN_LOGINS
        stored = self._passwords("passwords.own" if is_own else "passwords").get(login, "")
        if not is_own and not DEVICE.fullmatch(login):
            return False
        if not is_password(question.get("password", ""), stored):
            return False
        client_id = question.get("client_id", "")
        return client_id not in self._passwords("passwords") if is_own else client_id == login

    def may_use(self, question: Question) -> bool:
        """Whether a login may use an exchange or a queue: a device, the queues of its session."""
        if question.get("resource") == "exchange":
            return question.get("name") == "amq.topic" and question.get("permission") != "configure"
        queue = _QUEUE.fullmatch(question.get("name", ""))
        login = question.get("username", "")
        return queue is not None and (login in OWN_LOGINS or queue[1] == login)

    def may_pass(self, question: Question) -> bool:
        """Whether a login may publish (write) to a topic or subscribe (read) to a filter."""
        topic = question.get("routing_key", "").replace(".", "/").replace("*", "+")
        rules = rules_of(question.get("username", ""), self._text("acl"))
        if any(rule.action == "deny" and covers(rule.topic, topic) for rule in rules):
            return False
        permission = question.get("permission")
        return any(rule.action == permission and covers(rule.topic, topic) for rule in rules)

    def _passwords(self, name: str) -> dict[str, str]:
        lines = self._text(name).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _text(self, name: str) -> str:
        file = self._directory / name
        status = file.stat()
        version = (status.st_ino, status.st_mtime_ns)
        known, text = self._read.get(name, ((0, 0), ""))
        if known != version:
            text = file.read_text()
            self._read[name] = (version, text)
        return text


def rules_of(login: str, acl: str) -> list[Rule]:
    """Return the rules that apply to a login; the acl's patterns are for cabinets."""
    found, user = [], ""
    for line in acl.splitlines():
        match line.split():
            case ["user", name]:
                user = name
            case ["topic", "readwrite", topic] if user == login:
                found += [Rule("read", topic), Rule("write", topic)]
            case ["topic", action, topic] if user == login:
                found.append(Rule(action, topic))
            case ["pattern", action, topic] if login not in OWN_LOGINS:
                found.append(Rule(action, topic.replace("%u", login)))
            case _:
                pass  # a comment, or a rule of others
    return found


def covers(rule: str, topic: str) -> bool:
    """Whether a topic, or everything that a filter matches, is inside the filter `rule`."""
    wanted, asked = rule.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(asked) or asked[position] == "#":
            return False
        if level not in ("+", asked[position]):
            return False
    return len(wanted) == len(asked)


def is_password(password: str, stored: str) -> bool:
    """Whether `stored` is a hash of this password, as Mosquitto's password file has it."""
    match stored.split("$"):
        case ["", "7", iterations, salt, key]:
            found = hashlib.pbkdf2_hmac(
                "sha512", password.encode(), base64.b64decode(salt), int(iterations)
            )
            return hmac.compare_digest(found, base64.b64decode(key))
        case _:
            return False


def answers(access: Access) -> dict[str, Callable[[Question], bool]]:
    """Return the question that each path asks."""
    return {
        "/user": access.may_log_in,
        "/vhost": lambda question: question.get("vhost") == "/",
        "/resource": access.may_use,
        "/topic": access.may_pass,
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    questions: Mapping[str, Callable[[Question], bool]]
    """By path."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        values = {name: found[0] for name, found in parse_qs(body, keep_blank_values=True).items()}
        ask = self.questions.get(self.path)
        answer = b"allow" if ask and ask(values) else b"deny"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
        """Log nothing: RabbitMQ logs each refusal."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


def main(arguments: Iterable[str]) -> None:
    """Serve until the process is stopped."""
    directory, port = arguments
    _Handler.questions = answers(Access(Path(directory)))
    with _Server((HOST, int(port)), _Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
