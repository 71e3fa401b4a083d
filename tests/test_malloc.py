"""Freed memory is reused."""

import platform
import subprocess
import sys

import pytest

from dvfl_mmaction import malloc

# Page faults of an array of 128 MiB that is made and freed repeatedly.
PROGRAM = """
import resource
import torch
from dvfl_mmaction.malloc import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.zeros(32 << 20).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
usual = faults()
assert keep_freed_memory()
faults()
print(usual, faults())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc', reason='only glibc has the option'
)
def test_large_arrays_reuse_pages_once_freed_memory_is_kept():
    output = subprocess.run(
        [sys.executable, '-c', PROGRAM],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    usual, kept = map(int, output.split())
    # 4 arrays of 2 to 32768 pages, as large as the system makes them.
    assert usual >= 4 * 64 and kept < usual / 10


def test_other_c_libraries_are_left_unchanged(monkeypatch):
    monkeypatch.setattr(malloc.ctypes, 'CDLL', lambda name: object())
    assert not malloc.keep_freed_memory()
