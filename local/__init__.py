"""The whole cloud on one machine: for developers, the demo and the end-to-end tests."""


class CannotStart(RuntimeError):
    """A part of the local cloud cannot start; the message is one line that says what to do."""
