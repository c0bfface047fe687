"""Sleeping until a word in shared memory changes, and looking whether a process lives."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from typing import Callable, Optional, Tuple

_MACHINE = platform.machine().lower()
_X86 = _MACHINE in ("x86_64", "amd64", "i386", "i486", "i586", "i686")
_FUTEX_CALL = {"x86_64": 202, "amd64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "ppc64le": 221}
_NUMBER = _FUTEX_CALL.get(_MACHINE) if ctypes.sizeof(ctypes.c_void_p) == 8 else None
# Where the number of the system call is not known, it looks again after so many seconds.
_NAP_S = 0.005
_FUTEX_WAIT = 0
_MEMORY_ORDER_ACQUIRE = 2

# Through CDLL, not PyDLL: other threads run while this one sleeps.
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def futex_wait(address: int, expected: int, timeout_s: float) -> None:
    """Sleeps until woken, while the word is `expected`; may return for no reason."""
    if _NUMBER is None:
        time.sleep(min(timeout_s, _NAP_S))
        return
    timeout = (ctypes.c_int64 * 2)(int(timeout_s), int(timeout_s % 1 * 1e9))
    _syscall(
        ctypes.c_long(_NUMBER),
        ctypes.c_void_p(address),
        ctypes.c_long(_FUTEX_WAIT),
        ctypes.c_long(expected),
        timeout,
        ctypes.c_void_p(None),
        ctypes.c_long(0),
    )


def find_fence() -> Tuple[Optional[Callable[[], None]], bool]:
    """A function that keeps the loads before it before those after it (None where the processor does so by itself), and
    whether they are kept so at all."""
    if _X86:
        return None, True
    try:
        fence = ctypes.CDLL("libatomic.so.1").atomic_thread_fence
    except (OSError, AttributeError):
        return None, False
    fence.argtypes, fence.restype = [ctypes.c_int], None
    return lambda: fence(_MEMORY_ORDER_ACQUIRE), True


def is_alive(pid: int, start_time: int) -> bool:
    """Whether the very process that has this id and this start (clock ticks since boot) lives. A zombie does not."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        stat = os.read(fd, 4096)
    except OSError:
        return False
    finally:
        os.close(fd)
    # The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
    fields = stat.rpartition(b")")[2].split()
    return len(fields) > 19 and fields[0] not in (b"Z", b"X") and fields[19] == str(start_time).encode()
