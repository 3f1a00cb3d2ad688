"""What every answer of a generated campaign must be: schemathesis loads this beside its own."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

from tests.openapi_check import check_answer

MAY_FAIL = {502, 503, 504}
"""The cabinet refused, something is not to be reached, the cabinet did not answer."""


@schemathesis.check
def documented(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """The answer is in the document to the letter, and no fault of the service's own."""
    headers = {name: values[0] for name, values in response.headers.items()}
    path = str(response.request.path_url)
    if case.method != "HEAD":  # whose answer has no body
        check_answer(case.method, path, response.status_code, headers, response.content)
    allowed = response.status_code < 500 or response.status_code in MAY_FAIL
    assert allowed, f"a fault of the service: {response.status_code}"


@schemathesis.check
class MostRoutesSucceed:
    """Otherwise the campaign has not got past the refusals."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.succeeded: set[str] = set()

    def after_response(self, _context: CheckContext, response: Response, case: Case[Any]) -> None:
        self.asked.add(case.operation.label)
        if response.status_code < 300:
            self.succeeded.add(case.operation.label)

    def after_run(self, _context: object) -> None:
        never = sorted(self.asked - self.succeeded)
        assert len(never) < len(self.asked) / 3, f"never answered 2xx: {', '.join(never)}"
