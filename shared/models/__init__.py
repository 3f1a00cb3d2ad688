"""The nouns of the HTTP API, as docs/api.md shows them: a module a noun."""
