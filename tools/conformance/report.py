"""The result as files: JSON for programs, and one HTML page for people."""

import html
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tools import ToolError
from tools.conformance.rules import Rule, Verdict
from tools.conformance.run import Result
from tools.conformance.transcript import (
    Called,
    Closed,
    Connect,
    Delivery,
    Entry,
    Fact,
    LoginAnswer,
    Message,
    Sent,
    Subscribe,
)

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
_MOST_BYTES = 4000
_WORDS = {"broken": "Broken", "not_checked": "Not checked", "held": "Held"}
_STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def prepare(directory: Path) -> None:
    """Make the directory of the report, before a long run. Raises ToolError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"--report {directory} cannot be used: {error.strerror}") from None


def write(result: Result, directory: Path) -> tuple[Path, Path]:
    """Write report.html and report.json; return their paths. Raises ToolError."""
    try:
        paths = directory / "report.html", directory / "report.json"
        page = as_html(result, directory)  # half a character may be in what a cabinet said
        paths[0].write_text(page, encoding="utf-8", errors="backslashreplace")
        paths[1].write_text(json.dumps(as_json(result), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ToolError(f"cannot write to --report {directory}: {error.strerror}") from None
    return paths


def as_json(result: Result) -> dict[str, Any]:
    """Return the result as JSON values."""
    return {
        "device_id": result.target.device_id,
        "cells_total": result.target.cells,
        "began_at": result.began.isoformat(),
        "ended_at": result.ended.isoformat(),
        "stopped": result.stopped or None,
        "summary": {status: len(result.of(status)) for status in _WORDS},
        "steps_not_made": result.steps_without_end(),
        "rules": [
            {
                "id": rule.id,
                "title": rule.title,
                "status": verdict.status,
                "line": verdict.line,
                "why": rule.why,
                "change": rule.change,
                "place": f"docs/protocol.md#{rule.anchor}",
                "evidence": [_entry(one) for one in verdict.evidence],
            }
            for rule, verdict in result.verdicts
        ],
        "transcript": [_entry(one) for one in result.entries],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    kind = type(entry.fact).__name__.lower()
    fields = {name: _value(value) for name, value in asdict(entry.fact).items()}
    return {"number": entry.number, "at": entry.time.isoformat(), "kind": kind, **fields}


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return _text(value)
    if hasattr(value, "_asdict"):  # a last will
        return {name: _value(inner) for name, inner in value._asdict().items()}
    return value


def _text(payload: bytes) -> str:
    """Return a payload for people, cut to a readable size."""
    whole = payload.decode(errors="backslashreplace").replace("\x00", "\\0")
    whole = whole.replace("\ufeff", "\\ufeff")
    return whole if len(whole) <= _MOST_BYTES else f"{whole[:_MOST_BYTES]}… ({len(payload)} bytes)"


# --- HTML ---------------------------------------------------------------------------------------


def as_html(result: Result, directory: Path) -> str:
    """Return the page; `directory` is where it will be, for its links."""
    device = html.escape(result.target.device_id)
    link = os.path.relpath(PROTOCOL, directory.absolute())
    sections = "".join(
        f'<h2 id="{status}">{words} <small>{len(result.of(status))}</small></h2>'
        + (
            "".join(_rule(one, verdict, link) for one, verdict in result.of(status))
            or "<p>None.</p>"
        )
        for status, words in _WORDS.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Conformance of {device}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Conformance of {device}</h1>
{_summary(result)}
{sections}
<h2>Transcript</h2>
<details><summary>{len(result.entries)} entries</summary>
<table>{"".join(map(_row, result.entries))}</table></details>
</body>
</html>
"""


def _summary(result: Result) -> str:
    numbers = {status: len(result.of(status)) for status in _WORDS}
    counts = "".join(
        f'<a class="count {status}" href="#{status}"><b>{numbers[status]}</b> {words.lower()}</a>'
        for status, words in _WORDS.items()
    )
    missing = result.steps_without_end()
    skipped = "".join(
        f"<li><code>{html.escape(name)}</code>: {html.escape(why)}</li>"
        for name, why in missing.items()
    )
    stopped = (
        f"<p class='stopped'>Stopped: {html.escape(result.stopped)}</p>" if result.stopped else ""
    )
    steps = f"<p>Steps that were not made:</p><ul>{skipped}</ul>" if skipped else ""
    when = f"{result.began:%Y-%m-%d %H:%M:%S} to {result.ended:%H:%M:%S} UTC"
    cells = result.target.cells
    return f"<p>{when}, {cells} cells</p><p class='counts'>{counts}</p>{stopped}{steps}"


def _rule(rule: Rule, verdict: Verdict, link: str) -> str:
    is_broken = verdict.status == "broken"
    messages = f"<table>{''.join(map(_row, verdict.evidence))}</table>" if verdict.evidence else ""
    advice = f"<dt>What to change</dt><dd>{html.escape(rule.change)}</dd>" if is_broken else ""
    return f"""
<details class="rule {verdict.status}" id="{rule.id}"{" open" if is_broken else ""}>
<summary><b>{html.escape(rule.title)}</b> <code>{rule.id}</code><br>
<span>{html.escape(verdict.line)}</span></summary>
<dl>{advice}<dt>Why it matters</dt><dd>{html.escape(rule.why)}</dd>
<dt>In the protocol</dt>
<dd><a href="{html.escape(link)}#{rule.anchor}">docs/protocol.md#{rule.anchor}</a></dd></dl>
{messages}
</details>"""


def _row(entry: Entry) -> str:
    who, what, payload = described(entry.fact)
    content = f"<pre>{html.escape(payload)}</pre>" if payload else ""
    return (
        f"<tr><td>{entry.time:%H:%M:%S}.{entry.time.microsecond // 1000:03}</td>"
        f"<td>{who}</td><td>{html.escape(what)}{content}</td></tr>"
    )


def described(fact: Fact) -> tuple[str, str, str]:  # noqa: C901, PLR0911 - one line a type
    """Return who did it, what it was, and the payload."""
    match fact:
        case Connect():
            will = f"last will on {fact.will.topic}" if fact.will else "no last will"
            session = f"clean session {fact.clean}, session expiry {fact.session_expiry_s} s"
            login = f"as {fact.username!r}, client id {fact.client_id!r}, level {fact.level}"
            payload = _text(fact.will.payload) if fact.will else ""
            return "cabinet", f"connection {fact.connection}: {login}; {session}; {will}", payload
        case LoginAnswer():
            accepted = "accepted" if fact.code == 0 else f"refused (code {fact.code})"
            return "broker", f"connection {fact.connection}: login {accepted}", ""
        case Subscribe():
            filters = ", ".join(f"{name} at QoS {qos}" for name, qos in fact.filters)
            return "cabinet", f"connection {fact.connection}: subscribes to {filters}", ""
        case Message():
            flags = f"QoS {fact.qos}" + ", retained" * fact.retain + ", repeated" * fact.duplicate
            return "cabinet", f"{fact.topic} ({flags})", _text(fact.payload)
        case Delivery():
            return "service", f"{fact.topic}", _text(fact.payload)
        case Closed():
            return fact.by, f"connection {fact.connection} ended", ""
        case Sent():
            return "kit", f"{fact.topic}: publishes ({fact.purpose})", json.dumps(fact.command)
        case Called():
            return (
                "kit",
                f"{fact.method} {fact.path}: {fact.status}",
                _text(json.dumps(fact.body).encode()),
            )
        case _:
            fields = ", ".join(str(value) for value in asdict(fact).values() if value)
            return "kit", f"{type(fact).__name__.lower()}: {fields}", ""
