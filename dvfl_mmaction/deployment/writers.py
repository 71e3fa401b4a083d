"""Write a captured graph in each format."""

import ast
import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ..files import write_whole
from .extras import import_extra
from .graph_capture import CapturedGraph
from .metadata import KEY

# Where the exporter notes the modules of a node.
SCOPES = 'pkg.torch.onnx.name_scopes'
SUFFIXES = {
    'onnx': '.onnx',
    'openvino': '.xml',
    'torch-export': '.pt2',
    'litert': '.tflite',
}


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Mute the loggers of exporters below errors."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def to_onnx(graph: CapturedGraph):
    """Convert to an ONNX model, ``onnx.ModelProto``.

    The opset is what the exporter wrote: it leaves a newer one than the
    requested one in place if it cannot convert, so none is requested.
    """
    import_extra('onnx')
    import_extra('onnxscript')
    with torch.no_grad(), quiet('torch.onnx'):
        program = torch.onnx.export(
            graph.program,
            dynamo=True,
            verbose=False,
            input_names=graph.input_names,
            output_names=graph.output_names,
        )
    model = program.model_proto
    name_nodes(model)
    return model


def name_nodes(model):
    """Name the nodes after their layers: ``stages.0.0.fc1/MatMul``."""
    counts = Counter()
    for node in model.graph.node:
        scopes = {entry.key: entry.value for entry in node.metadata_props}
        path = ast.literal_eval(scopes.get(SCOPES, '[]'))[:-1]
        name = f'{path[-1] if path else ""}/{node.op_type}'
        counts[name] += 1
        number = f'_{counts[name]}' if counts[name] > 1 else ''
        node.name = name + number


def write_onnx(graph: CapturedGraph, path: Path, metadata: dict):
    """Write ``.onnx``; the metadata goes to ``metadata_props``."""
    save_onnx(to_onnx(graph), path, metadata)


def save_onnx(model, path: Path, metadata: dict):
    """Save an ONNX model with its metadata and opset."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    metadata = metadata | dict(opset=opsets[''])
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(metadata)
    write_whole(path, model.SerializeToString())


def to_openvino(graph: CapturedGraph):
    """Convert to an ``openvino.Model``, through ONNX."""
    ov = import_extra('openvino')
    with TemporaryDirectory() as folder:
        path = Path(folder, 'model.onnx')
        path.write_bytes(to_onnx(graph).SerializeToString())
        return ov.convert_model(path)


def write_openvino(graph: CapturedGraph, path: Path, metadata: dict):
    """Write ``.xml`` and ``.bin``; the metadata goes to ``rt_info``.

    With precision bf16 the weights are stored in float16, whose mantissa is
    longer, and the runtime computes in bf16.
    """
    save_openvino(to_openvino(graph), path, metadata)


def save_openvino(model, path: Path, metadata: dict):
    """Save an OpenVINO model with its metadata."""
    ov = import_extra('openvino')
    small = metadata['precision'] != 'fp32'
    model.set_rt_info(json.dumps(metadata), [KEY, 'metadata'])
    model.set_rt_info('bf16' if small else 'f32', [KEY, 'compute'])
    with TemporaryDirectory(dir=path.parent, prefix='.part-') as folder:
        # Both names are in the file, so it is saved under its own.
        part = Path(folder, path.name)
        ov.save_model(model, part, compress_to_fp16=small)
        weights = path.with_suffix('.bin')
        os.replace(part.with_suffix('.bin'), weights)
        os.replace(part, path)


def write_torch_export(graph: CapturedGraph, path: Path, metadata: dict):
    """Write ``.pt2``; the metadata is an extra file of the archive."""
    with TemporaryDirectory(dir=path.parent, prefix='.part-') as folder:
        part = Path(folder, path.name)
        extra = {f'{KEY}.json': json.dumps(metadata)}
        torch.export.save(graph.program, part, extra_files=extra)
        os.replace(part, path)


def write_litert(graph: CapturedGraph, path: Path, metadata: dict):
    """Write ``.tflite``; the metadata is ``NAME.tflite.json`` beside it."""
    litert = import_extra('litert_torch', 'litert')
    values, _ = graph.program.example_inputs
    with torch.no_grad():
        model = litert.convert(graph.program.module(), values)
    with TemporaryDirectory(dir=path.parent, prefix='.part-') as folder:
        part = Path(folder, path.name)
        model.export(str(part))
        beside = path.with_name(path.name + '.json')
        write_whole(beside, json.dumps(metadata, indent=1) + '\n')
        os.replace(part, path)


SAVERS = dict(onnx=save_onnx, openvino=save_openvino)
WRITERS = {
    'onnx': write_onnx,
    'openvino': write_openvino,
    'torch-export': write_torch_export,
    'litert': write_litert,
}


def files_of(path: Path) -> list[Path]:
    """All files of an exported model."""
    beside = {
        '.xml': path.with_suffix('.bin'),
        '.tflite': path.with_name(path.name + '.json'),
    }
    return [path, *(f for k, f in beside.items() if k == path.suffix)]
