"""Errors that the fake answers with: a gRPC code, and the platform's words where they are known."""

from grpc import StatusCode


class Refused(Exception):
    """A call that is answered with an error; the transaction's changes are undone."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def unimplemented(cls, what: str) -> "Refused":
        """Return the error for what the platform can do and the fake cannot."""
        return cls(StatusCode.UNIMPLEMENTED, f"this fake does not have {what}")


def invalid(message: str) -> Refused:
    """Return the error for an argument that the platform does not accept."""
    return Refused(StatusCode.INVALID_ARGUMENT, message)


def not_found(noun: str, key: str) -> Refused:
    """Return the error for something that does not exist."""
    return Refused(StatusCode.NOT_FOUND, f"{noun} {key} not found")


def already_exists(noun: str, name: str) -> Refused:
    """Return the error for a second thing of one name."""
    return Refused(StatusCode.ALREADY_EXISTS, f"{noun} with name {name} already exists")


def in_use(message: str) -> Refused:
    """Return the error for a change that the state of things does not allow."""
    return Refused(StatusCode.FAILED_PRECONDITION, message)


def quota_exceeded(quota: str) -> Refused:
    """Return the error for one thing more than the quota allows."""
    return Refused(StatusCode.RESOURCE_EXHAUSTED, f"Quota limit {quota} exceeded")
