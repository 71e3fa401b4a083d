"""Reuse of freed memory in the next training step."""

import ctypes

# From <malloc.h>
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Make glibc keep the memory that this process frees, for reuse.

    By default glibc returns large arrays to the system at once, and each
    training step requests them again, page by page. With this option the
    process keeps its peak memory until it ends.

    Returns:
        Whether the option was set; other C libraries are left unchanged.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    # No mmap for arrays, since it is unmapped with them; no trimmed heap.
    return mallopt(M_MMAP_MAX, 0) == 1 == mallopt(M_TRIM_THRESHOLD, -1)
