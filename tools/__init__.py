"""Command-line tools for people who run the service or build cabinets: `python -m tools`.

They reach the service by its URL and an API key, whether it runs locally or in the cloud. Nothing
that is deployed imports them.
"""


class ToolError(Exception):
    """The tool cannot do what was asked; the message says why and what to do."""


def printable(text: str) -> str:
    """Return a text that a terminal only shows: what it would obey is escaped. Lines stay lines."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )
