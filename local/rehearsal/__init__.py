"""The rehearsal: runs what Terraform applied on this machine, and plays the demo against it."""


class Fault(RuntimeError):
    """The deployment would not work; the message has one line for each reason."""
