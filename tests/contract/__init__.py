"""Linters and code generators check docs/openapi.json and docs/asyncapi.json."""
