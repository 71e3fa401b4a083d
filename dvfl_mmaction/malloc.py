"""Memory that a step has freed, kept for the next one."""

import ctypes

# Of <malloc.h>
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Have glibc keep what this process frees, and use it again.

    By itself it gives large arrays back to the system at once, and a step of
    training takes them anew, page by page. The process then holds its peak
    until it ends.

    Returns:
        Whether the C library was told; another one than glibc is left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    # No array by mmap, which ends with the array; no end of the heap cut off.
    return mallopt(M_MMAP_MAX, 0) == 1 == mallopt(M_TRIM_THRESHOLD, -1)
