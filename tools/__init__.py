"""Command-line tools for people who run the service or build cabinets: `python -m tools`.

They reach the service by its URL and an API key, whether it runs locally or in the cloud. Nothing
that is deployed imports them.
"""


class ToolError(Exception):
    """The tool cannot do what was asked; the message says why and what to do."""
