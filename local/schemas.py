"""The models' schemas in the dialects of the documents: pydantic speaks JSON Schema 2020-12."""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

Schema = dict[str, Any]
Input = tuple[str, JsonSchemaMode, TypeAdapter[Any]]
"""A model under a key, as it is read (`validation`) or written (`serialization`)."""

_NULL = {"type": "null"}
_DATA = {"const", "default", "discriminator", "enum", "example", "examples", "required"}


class Generator(GenerateJsonSchema):
    """Without titles that repeat the names; an answer always has all its fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        del schema
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001 - pydantic's
        """In an answer, always."""
        return self.mode == "serialization" or super().field_is_required(field, total)

    def model_schema(self, schema: Any) -> Schema:
        """Leave the class's name to the key that the schema stands under."""
        found = super().model_schema(schema)
        found.pop("title", None)
        return found


def of_models(
    models: Iterable[Input], ref_template: str
) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Each model's schema by its key, and the definitions that they refer to, both by name."""
    found, shared = TypeAdapter.json_schemas(
        models, ref_template=ref_template, schema_generator=Generator
    )
    return {str(key): schema for (key, _), schema in found.items()}, shared.get("$defs", {})


def without_null(schema: Schema) -> Schema:
    """The schema of what is left out instead of being null, as a parameter is."""
    others = [choice for choice in schema.get("anyOf", []) if choice != _NULL]
    if len(others) != 1:
        return schema
    return {**others[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def in_openapi(schema: Any) -> Any:
    """A JSON Schema in OpenAPI 3.0's own dialect, which has no null, no const, no tuples."""
    if isinstance(schema, list):
        return [in_openapi(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _part(key, value) for key, value in schema.items()}
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if "examples" in found:
        found["example"] = found.pop("examples")[0]
    if "prefixItems" in found:
        found["items"] = {"anyOf": found.pop("prefixItems")}
    if found.get("default", ...) is None:
        del found["default"]
    return _nullable(_bounded(found))


def _part(key: str, value: Any) -> Any:
    if key in _DATA:
        return value
    if key == "properties":
        return {name: in_openapi(schema) for name, schema in value.items()}
    return in_openapi(value)


def _bounded(schema: Schema) -> Schema:
    """Whether a bound is exclusive is said beside it."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in schema:
            schema |= {bound: schema[exclusive], exclusive: True}
    return schema


def _nullable(schema: Schema) -> Schema:
    """`nullable` instead of the alternative null; beside a $ref it would be without effect."""
    if _NULL not in schema.get("anyOf", []):
        return schema
    one = without_null(schema)
    if "anyOf" in one or "$ref" in one:
        others = [choice for choice in schema["anyOf"] if choice != _NULL]
        return {**schema, "anyOf": [*others, {"nullable": True, "enum": [None]}]}
    if "enum" in one:
        one["enum"] = [*one["enum"], None]
    return {**one, "nullable": True}
