"""The rehearsal: what Terraform applied, run on this machine, and the demo's story played on it."""


class Fault(RuntimeError):
    """The system would not work as it was applied; the message is one line that names why."""
