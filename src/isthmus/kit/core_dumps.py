"""Memory with keys in it stays in the process: no core dump, and no debugger of the same user."""

from __future__ import annotations

import ctypes

from isthmus.kit.log import log

_PR_SET_DUMPABLE = 4


def leave_none() -> None:
    """This process leaves no core dump when it dies, wherever the node would send one.

    A limit of their size would not do: the kernel does not heed it where cores are piped to a program. Programs that
    are started from here are as they would be. Source: prctl(2), core(5).
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("core dumps are not prevented", errno=ctypes.get_errno())
