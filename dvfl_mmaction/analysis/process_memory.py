"""Memory of a form of a model, measured in a process of its own."""

import ctypes
import gc
import importlib
import re
from pathlib import Path

import torch

from .benchmark import call_apart, resident_peak
from .deployed_models import EXPORTED, DeployedEntry, DeployedModel

RUNTIMES = {
    '.onnx': 'onnxruntime',
    '.xml': 'openvino',
    '.tflite': 'ai_edge_litert.interpreter',
}
FORWARDS = 3


def measure_memory(entry: DeployedEntry, threads: int) -> dict | None:
    """Memory above the libraries.

    Args:
        entry: The form.
        threads: Of PyTorch or of the runtime.

    Returns:
        ``loading_bytes``, the peak up to the first answer, and
        ``running_bytes``, the peak of later answers with the weights; None
        if the process fails.
    """
    return call_apart(measure_in_this_process, entry, threads)


def measure_in_this_process(entry: DeployedEntry, threads: int, sender):
    """Send the memory of one form; runs in its own process."""
    torch.set_num_threads(threads)
    import_runtime(entry)
    before = begin_peak()
    model = DeployedModel(entry, threads)
    model.forward()
    loading = resident_peak() - before
    release_freed_memory()
    begin_peak()
    for _ in range(FORWARDS):
        model.forward()
    sender.send(
        dict(loading_bytes=loading, running_bytes=resident_peak() - before)
    )


def import_runtime(entry: DeployedEntry):
    """Import what an exported file runs in; its memory is not the model's."""
    if entry.kind != EXPORTED:
        return
    name = RUNTIMES.get(Path(entry.path).suffix)
    runtime = name and importlib.import_module(name)
    if name == 'openvino':
        runtime.Core().get_property('CPU', 'FULL_DEVICE_NAME')  # its plugin


def begin_peak() -> int:
    """Make the peak begin here, where Linux allows it.

    Returns:
        The resident memory, in bytes; elsewhere the peak so far.
    """
    try:
        Path('/proc/self/clear_refs').write_text('5')
        status = Path('/proc/self/status').read_text()
        return int(re.search(r'^VmRSS:\s*(\d+) kB', status, re.M)[1]) * 1024
    except (OSError, TypeError):
        return resident_peak()


def release_freed_memory():
    """Return what glibc keeps of freed memory to the system."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
