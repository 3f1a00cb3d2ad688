"""Run a command that gets a signal when its parent ends.

    end_with_parent.py SIGNAL PARENT USER COMMAND...

A program, because Popen's preexec_fn is unsafe in a process with threads. The kernel sends SIGNAL
when the thread that started this program ends, even by kill -9; only on Linux. PARENT is its
process id, USER the uid and gid to run as, 0 for no change.
"""

import ctypes
import os
import sys

_SET_PARENT_DEATH_SIGNAL = 1


def main(stop_signal: int, parent: int, user: int, command: list[str]) -> None:
    """Replace this process with `command`."""
    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    if sys.platform == "linux":  # after setuid, which would clear it
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, stop_signal)
        if os.getppid() != parent:  # the parent ended before prctl
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
