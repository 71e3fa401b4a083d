"""Run exported files: one class per format, all with the same interface."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import UserError
from .extras import import_extra
from .metadata import KEY


@dataclass(frozen=True)
class Port:
    """An input of a file.

    Attributes:
        name: Of the input.
        shape: Its axes; None where any length is taken.
        dtype: Of NumPy.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype


class OnnxRuntime:
    """A ``.onnx`` file in ONNX Runtime on the CPU.

    All runtimes have ``inputs``, a list of :class:`Port`; ``metadata``, the
    JSON of the file, or None; and ``run``, which takes one array per input
    and returns the outputs.

    Args:
        path: The file.
        threads: None leaves the number to the runtime.
    """

    def __init__(self, path: Path, threads: int | None = None):
        ort = import_extra('onnxruntime')
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors only
        if threads:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider']
        )
        kinds = {'tensor(uint8)': np.uint8, 'tensor(int64)': np.int64}
        self.inputs = [
            Port(
                port.name,
                tuple(n if isinstance(n, int) else None for n in port.shape),
                np.dtype(kinds.get(port.type, np.float32)),
            )
            for port in self.session.get_inputs()
        ]
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.metadata = metadata.get(KEY)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One array per input -> one per output."""
        names = [port.name for port in self.inputs]
        feed = dict(zip(names, arrays, strict=True))
        return self.session.run(None, feed)


class OpenVINORuntime:
    """An ``.xml`` file, with its ``.bin``, in OpenVINO on the CPU.

    A file for bf16 runs in bf16 where the processor has AVX512-BF16 or AMX,
    otherwise in float32.
    """

    def __init__(self, path: Path, threads: int | None = None):
        ov = import_extra('openvino')
        core = ov.Core()
        model = core.read_model(str(path))
        self.metadata = None
        if model.has_rt_info([KEY, 'metadata']):
            self.metadata = model.get_rt_info([KEY, 'metadata']).astype(str)
        options = dict(PERFORMANCE_HINT='LATENCY')
        if threads:
            options['INFERENCE_NUM_THREADS'] = threads
        precision = 'f32'
        if model.has_rt_info([KEY, 'compute']):
            precision = model.get_rt_info([KEY, 'compute']).astype(str)
        able = core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        self.precision = (
            'bf16' if precision == 'bf16' and ('BF16' in able) else 'f32'
        )
        options['INFERENCE_PRECISION_HINT'] = self.precision
        self.compiled = core.compile_model(model, 'CPU', options)
        self.request = self.compiled.create_infer_request()
        self.inputs = [
            Port(
                port.any_name,
                tuple(
                    n.get_length() if n.is_static else None
                    for n in port.partial_shape
                ),
                np.dtype(port.element_type.to_dtype()),
            )
            for port in self.compiled.inputs
        ]

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One array per input -> one per output."""
        results = self.request.infer(list(arrays), share_inputs=True)
        return list(results.values())


class TorchExportRuntime:
    """A ``.pt2`` archive of ``torch.export``, which may hold code."""

    def __init__(self, path: Path, threads: int | None = None):
        self.threads = threads
        name = f'{KEY}.json'
        extra = {name: ''}
        program = torch.export.load(path, extra_files=extra)
        text = extra[name]
        self.metadata = text.decode() if isinstance(text, bytes) else text
        self.module = program.module()
        (values, _) = program.example_inputs
        names = program.graph_signature.user_inputs
        ranges = {
            node.name: node.meta['val']
            for node in program.graph.nodes
            if node.op == 'placeholder'
        }
        self.inputs = [
            Port(
                name,
                tuple(
                    n if isinstance(n, int) else None
                    for n in ranges[name].shape
                ),
                np.dtype(str(ranges[name].dtype).removeprefix('torch.')),
            )
            for name in names
        ]

    @torch.no_grad()
    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One array per input -> one per output."""
        before = torch.get_num_threads()
        if self.threads:
            torch.set_num_threads(self.threads)
        try:
            tensors = [torch.from_numpy(a) for a in arrays]
            outputs = self.module(*tensors)
        except AssertionError as error:  # a guard of the captured graph
            raise UserError(
                f'the input does not fit the file ({error}); change its '
                'shape, or export to another format'
            ) from None
        finally:
            torch.set_num_threads(before)
        if torch.is_tensor(outputs):
            outputs = [outputs]
        return [output.numpy() for output in outputs]


class LiteRT:
    """A ``.tflite`` file, with its ``.tflite.json``, in LiteRT."""

    def __init__(self, path: Path, threads: int | None = None):
        litert = import_extra('ai_edge_litert.interpreter', 'litert')
        self.interpreter = litert.Interpreter(
            model_path=str(path), num_threads=threads
        )
        beside = path.with_name(path.name + '.json')
        self.metadata = beside.read_text() if beside.is_file() else None
        self.interpreter.allocate_tensors()
        self.details = sorted(
            self.interpreter.get_input_details(), key=lambda d: d['index']
        )
        self.inputs = [
            Port(
                detail['name'],
                tuple(
                    None if n < 0 else int(n)
                    for n in detail['shape_signature']
                ),
                np.dtype(detail['dtype']),
            )
            for detail in self.details
        ]

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One array per input -> one per output."""
        for detail, array in zip(self.details, arrays, strict=True):
            self.interpreter.set_tensor(detail['index'], array)
        self.interpreter.invoke()
        return [
            self.interpreter.get_tensor(detail['index'])
            for detail in self.interpreter.get_output_details()
        ]


RUNTIMES = {
    '.onnx': OnnxRuntime,
    '.xml': OpenVINORuntime,
    '.pt2': TorchExportRuntime,
    '.tflite': LiteRT,
}


def open_runtime(path: Path, threads: int | None = None):
    """Open a file in the runtime of its format.

    Raises:
        UserError: If it is not found, has another suffix, cannot be read,
            or its runtime is not installed.
    """
    if path.suffix not in RUNTIMES:
        raise UserError(
            f'{path} is no exported model; give a file that tools/export.py '
            f'wrote: {", ".join(RUNTIMES)}'
        )
    if not path.is_file():
        raise UserError(f'{path} was not found; write it with tools/export.py')
    if threads is not None and threads < 1:
        raise UserError(f'threads is {threads}; give 1 or more')
    try:
        return RUNTIMES[path.suffix](path, threads)
    except UserError:
        raise
    except Exception as error:  # of the runtimes, which share no class
        reason = ' '.join(str(error).split())[:200]
        raise UserError(
            f'{path} cannot be read ({reason}); write it again with '
            'tools/export.py'
        ) from error
