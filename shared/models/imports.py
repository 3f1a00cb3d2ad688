"""Imports: many cabinets and accumulators in one request, each with an outcome of its own."""

from typing import Annotated, Any, Generic, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from shared.errors import ServiceError
from shared.models.accumulators import AccumulatorRequest
from shared.models.base import Model, Request, field_errors
from shared.models.cabinets import CabinetRequest

MAX_ITEMS = 1000
MAX_ITEM_ERRORS = 5
"""Invalid fields of an item that are listed: a response may have 2.5 MB."""
MAX_ID_SHOWN = 100
"""Characters of an item's id that are shown."""

T = TypeVar("T", bound=BaseModel)


class Item(NamedTuple, Generic[T]):
    """An item of an import: its request, or what is wrong with it."""

    given_id: str | None
    """The beginning of its id as it was sent; None if that is not a text."""
    request: T | None
    errors: list[dict[str, str]]


class OneByOne:
    """Validates an item of a list as `model`, without failing: the result is an Item.

    The schema of the item is that of the model.
    """

    def __init__(self, model: type[BaseModel], id_field: str) -> None:
        self._model = model
        self._id_field = id_field

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Build the validator."""
        schema = handler.generate_schema(self._model)
        return core_schema.no_info_wrap_validator_function(self._item, schema)

    def _item(self, value: Any, validate: ValidatorFunctionWrapHandler) -> Item[Any]:
        given = value.get(self._id_field) if isinstance(value, dict) else None
        given_id = given[:MAX_ID_SHOWN] if isinstance(given, str) else None
        try:
            return Item(given_id, validate(value), [])
        except ValidationError as error:
            return Item(given_id, None, field_errors(error)[:MAX_ITEM_ERRORS])


_NO_ITEMS: dict[str, Any] = {
    "properties": {"cabinets": {"maxItems": 0}, "accumulators": {"maxItems": 0}}
}


class ImportRequest(Request):
    """Cabinets and accumulators to take into service: 1 to 1,000 in all."""

    model_config = ConfigDict(json_schema_extra={"not": _NO_ITEMS})

    cabinets: list[Annotated[Item[CabinetRequest], OneByOne(CabinetRequest, "cabinet_id")]] = Field(
        default_factory=list,
        max_length=MAX_ITEMS,
        description="Cabinets, each as for `POST /v1/cabinets`. "
        "One that exists gets the values that its item names",
    )
    accumulators: list[
        Annotated[Item[AccumulatorRequest], OneByOne(AccumulatorRequest, "accumulator_id")]
    ] = Field(
        default_factory=list,
        max_length=MAX_ITEMS,
        description="Accumulators, each as for `POST /v1/accumulators`. "
        "For one that exists, only what is not known yet is filled in",
    )
    dry_run: bool = Field(default=False, description="Only say what would become of each item")

    @model_validator(mode="after")
    def _check_count(self) -> Self:
        if not 1 <= len(self.cabinets) + len(self.accumulators) <= MAX_ITEMS:
            raise ValueError(f"cabinets and accumulators must be 1 to {MAX_ITEMS} items in all")
        return self


ImportOutcome = Literal["created", "updated", "unchanged", "failed"]

Outcomes = dict[str, ImportOutcome | ServiceError]
"""What becomes of each item, by id: a result, or why it fails."""


class InvalidField(Model):
    """An invalid field of an item."""

    field: str
    message: str


class ImportResult(Model):
    """What became of one item."""

    kind: Literal["cabinet", "accumulator"]
    id: str | None = Field(
        description=f"As it was sent, up to {MAX_ID_SHOWN} characters; null if that was not a text"
    )
    result: ImportOutcome
    code: str | None = Field(
        None,
        description="Of a failed item: `invalid_request`, `duplicate_item`, `device_exists`, "
        "`cells_in_use` or `accumulator_in_use`",
    )
    detail: str | None = Field(None, description="Of a failed item: what is wrong, for people")
    errors: list[InvalidField] = Field(
        default_factory=list,
        description=f"Of an invalid item: each invalid field, up to {MAX_ITEM_ERRORS}",
    )


class ImportCounts(Model):
    """How many items had each result."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0


class Import(Model):
    """What became of each item, in the order of the request: cabinets, then accumulators."""

    results: list[ImportResult]
    counts: ImportCounts
