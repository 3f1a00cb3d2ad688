"""Checks of every response, which schemathesis runs in addition to its own."""

import re
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.generation import GenerationMode

from tests.campaign import findings
from tests.support.openapi_check import check_response


@schemathesis.check
def refused_for_a_listed_reason(
    _context: CheckContext, response: Response, case: Case[Any]
) -> None:
    """A request that the document allows is refused only by a rule that it cannot express."""
    if response.status_code != 400 or not _is_valid(case):
        return
    messages = {error["message"] for error in response.json()["errors"]}
    unlisted = {
        message
        for message in messages
        if not any(re.fullmatch(listed, message) for listed in findings.NOT_EXPRESSIBLE)
    }
    assert not unlisted, f"not in the document: {unlisted}"


def _is_valid(case: Case[Any]) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


@schemathesis.check
def documented(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """The response is documented."""
    headers = {name: values[0] for name, values in response.headers.items()}
    path = str(response.request.path_url)
    check_response(case.method, path, response.status_code, headers, response.content)


@schemathesis.check
class MostRoutesSucceed:
    """At least two thirds of the routes succeed; otherwise only refusals were tested."""

    def __init__(self) -> None:
        self.called: set[str] = set()
        self.succeeded: set[str] = set()

    def after_response(self, _context: CheckContext, response: Response, case: Case[Any]) -> None:
        self.called.add(case.operation.label)
        if response.status_code < 300:
            self.succeeded.add(case.operation.label)

    def after_run(self, _context: object) -> None:
        never = sorted(self.called - self.succeeded)
        assert len(never) < len(self.called) / 3, f"no 2xx response: {', '.join(never)}"
