"""Becomes a command that dies with its parent: python leash.py SIGNAL PARENT USER COMMAND...

A program of its own and not Popen's preexec_fn, which is unsafe beside threads. SIGNAL is sent when
the thread that started this is gone, also by kill -9; Linux only, elsewhere nothing is sent.
USER is the uid and gid to run as, 0 for no change.
"""

import ctypes
import os
import sys

_SET_PARENT_DEATH_SIGNAL = 1


def main(last_signal: int, parent: int, user: int, command: list[str]) -> None:
    """Replace this process by `command`."""
    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    if sys.platform == "linux":  # after setuid, which would clear it
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, last_signal)
        if os.getppid() != parent:  # it died before prctl
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
