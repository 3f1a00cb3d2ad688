"""The resources of the HTTP API (docs/api.md), one module each."""
