"""The error tree: every error has a status, a code and a title."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest

from shared import errors
from shared.api.problems import STATUS, problem, status_of
from shared.errors import ServiceError

NIL = UUID(int=0)


def descendants(cls: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for child in cls.__subclasses__():
        yield child
        yield from descendants(child)


ERRORS = [cls for cls in descendants(ServiceError) if cls.__module__ == errors.__name__]
names = [cls.__name__ for cls in ERRORS]


@pytest.mark.parametrize("cls", ERRORS, ids=names)
def test_every_error_has_a_status(cls: type[ServiceError]) -> None:
    assert 400 <= status_of(cls) <= 599


@pytest.mark.parametrize("cls", ERRORS, ids=names)
def test_every_errors_title_is_its_docstring(cls: type[ServiceError]) -> None:
    assert "__doc__" in cls.__dict__
    assert re.fullmatch(r"[A-Z`][^\n]+[.>]", cls.title())
    assert not cls.title().startswith(f"{cls.__name__}(")  # the docstring that dataclass generates


def test_codes_and_titles_are_unique() -> None:
    assert len({cls.code() for cls in ERRORS}) == len(ERRORS)
    assert len({cls.title() for cls in ERRORS}) == len(ERRORS)


def test_the_docstring_shows_the_actual_error_tree() -> None:
    shown = re.findall(r"\b[A-Z][A-Za-z]+[a-z]\b", (errors.__doc__ or "").split("\n\n", 1)[1])
    assert sorted(shown) == sorted(["ServiceError", *names])


def test_the_docstring_shows_the_actual_statuses() -> None:
    shown = re.findall(r"^[├└]── (\w+) +(\d{3})$", errors.__doc__ or "", re.MULTILINE)
    assert {name: int(status) for name, status in shown} == {
        cls.__name__: status for cls, status in STATUS.items()
    }


@pytest.mark.parametrize(
    ("cls", "status", "code"),
    [
        (errors.InvalidRequest, 400, "invalid_request"),
        (errors.Unauthenticated, 401, "unauthenticated"),
        (errors.Forbidden, 403, "forbidden"),
        (errors.CabinetNotFound, 404, "cabinet_not_found"),
        (errors.NotEnoughFreeCells, 409, "not_enough_free_cells"),
        (errors.RequestTooLarge, 413, "request_too_large"),
        (errors.IdempotencyKeyReused, 422, "idempotency_key_reused"),
        (errors.Internal, 500, "internal"),
        (errors.CabinetRejected, 502, "cabinet_rejected"),
        (errors.QueueUnavailable, 503, "queue_unavailable"),
        (errors.CabinetNoAnswer, 504, "cabinet_no_answer"),
    ],
)
def test_a_code_is_the_class_name_in_snake_case(
    cls: type[ServiceError], status: int, code: str
) -> None:
    assert (status_of(cls), cls.code()) == (status, code)


def test_a_problem_has_the_fields_of_rfc_9457_and_the_errors_own() -> None:
    error = errors.NotEnoughAccumulators(requested=3, available=1)
    assert problem(error, "r-1") == {
        "type": "urn:scooter-accumulator:not_enough_accumulators",
        "title": "The cabinet has fewer accumulators to issue than requested.",
        "status": 409,
        "detail": "The cabinet has fewer accumulators to issue than requested.",
        "code": "not_enough_accumulators",
        "request_id": "r-1",
        "requested": 3,
        "available": 1,
    }


def test_a_detail_does_not_replace_the_title() -> None:
    body = problem(errors.CabinetInactive(detail="The cabinet reports alarms: fire."), "r-1")
    assert body["detail"] == "The cabinet reports alarms: fire."
    assert body["title"] == errors.CabinetInactive.title()


@pytest.mark.parametrize("cls", ERRORS, ids=names)
def test_no_error_field_overrides_a_common_problem_field(cls: type[ServiceError]) -> None:
    own = set(cls.__dataclass_fields__) - {"detail"}
    assert not own & problem(errors.Internal(), "r-1").keys()


def test_errors_with_equal_fields_are_distinct() -> None:
    first, second = (errors.CabinetNoAnswer(command_id=NIL) for _ in range(2))
    assert len({first, second}) == 2


def test_an_error_prints_as_its_detail_or_title() -> None:
    assert str(errors.CabinetOffline()) == errors.CabinetOffline.title()
    assert str(errors.CabinetOffline(detail="Since noon.")) == "Since noon."
