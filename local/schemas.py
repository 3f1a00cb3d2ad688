"""Converts pydantic's JSON Schema 2020-12 to the dialects of the generated documents."""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

Schema = dict[str, Any]
Input = tuple[str, JsonSchemaMode, TypeAdapter[Any]]
"""A key, a model, and the mode: `validation` (input) or `serialization` (output)."""

_NULL = {"type": "null"}
_DATA = {"const", "default", "discriminator", "enum", "example", "examples", "required"}


class Generator(GenerateJsonSchema):
    """Generates schemas without titles that repeat names; in output, every field is required."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: a title would only repeat the name."""
        del schema
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001 - pydantic's
        """Return True for output: every field is always present."""
        return self.mode == "serialization" or super().field_is_required(field, total)

    def model_schema(self, schema: Any) -> Schema:
        """Add no title to a model: the schema's key has its name."""
        found = super().model_schema(schema)
        found.pop("title", None)
        return found


def of_models(
    models: Iterable[Input], ref_template: str
) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Return the schema of each model by key, and the definitions that they refer to."""
    found, shared = TypeAdapter.json_schemas(
        models, ref_template=ref_template, schema_generator=Generator
    )
    return {str(key): schema for (key, _), schema in found.items()}, shared.get("$defs", {})


def without_null(schema: Schema) -> Schema:
    """Return the schema of a parameter, which is omitted instead of null."""
    others = [choice for choice in schema.get("anyOf", []) if choice != _NULL]
    if len(others) != 1:
        return schema
    return {**others[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def in_openapi(schema: Any) -> Any:
    """Convert a JSON Schema to OpenAPI 3.0's dialect, which has no null, const or tuples."""
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
    if "$ref" in found and len(found) > 1:  # OpenAPI 3.0 ignores what is beside a reference
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return _nullable(_bounded(found))


def _part(key: str, value: Any) -> Any:
    if key in _DATA:
        return value
    if key == "properties":
        return {name: in_openapi(schema) for name, schema in value.items()}
    return in_openapi(value)


def _bounded(schema: Schema) -> Schema:
    """Convert an exclusive bound to a bound with a separate flag."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in schema:
            schema |= {bound: schema[exclusive], exclusive: True}
    return schema


def _nullable(schema: Schema) -> Schema:
    """Use `nullable` instead of an alternative null, where it has an effect: beside a type.

    Beside an enum it would, too, but code generators make several types of that.
    """
    if _NULL not in schema.get("anyOf", []):
        return schema
    one = without_null(schema)
    if "type" in one and "enum" not in one:
        return {**one, "nullable": True}
    others = [choice for choice in schema["anyOf"] if choice != _NULL]
    return {**schema, "anyOf": [*others, {"enum": [None]}]}
