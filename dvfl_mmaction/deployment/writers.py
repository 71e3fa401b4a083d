"""Write a captured graph in each format.

The functions write in place; :func:`whole_export` replaces the files of an
earlier export only with complete ones.
"""

import ast
import contextlib
import io
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ..files import cannot_write
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
    """Save an ONNX model with its metadata and opset.

    Metadata of an earlier call, which the model keeps, are replaced.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    metadata = metadata | dict(opset=opsets[''])
    entries = (e for e in model.metadata_props if e.key == KEY)
    entry = next(entries, None)
    if entry is None:  # a key may be there once only
        entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(metadata)
    path.write_bytes(model.SerializeToString())


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
    ov.save_model(model, path, compress_to_fp16=small)


def write_torch_export(graph: CapturedGraph, path: Path, metadata: dict):
    """Write ``.pt2``; the metadata is an extra file of the archive."""
    extra = {f'{KEY}.json': json.dumps(metadata)}
    # On a full disk torch's own writer ends the process.
    archive = io.BytesIO()
    torch.export.save(graph.program, archive, extra_files=extra)
    path.write_bytes(archive.getbuffer())


def write_litert(graph: CapturedGraph, path: Path, metadata: dict):
    """Write ``.tflite``; the metadata is ``NAME.tflite.json`` beside it."""
    litert = import_extra('litert_torch', 'litert')
    values, _ = graph.program.example_inputs
    with torch.no_grad():
        model = litert.convert(graph.program.module(), values)
    model.export(str(path))
    beside = path.with_name(path.name + '.json')
    beside.write_text(json.dumps(metadata, indent=1) + '\n', 'utf-8')


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


@contextlib.contextmanager
def whole_export(path: Path) -> Iterator[Path]:
    """A path whose files replace those of ``path`` at the end.

    It has the same name, which OpenVINO writes into its files, in a
    temporary folder beside ``path``. After an exception, Ctrl-C included,
    the files of ``path`` are as they were.

    Raises:
        UserError: If it cannot be written.
    """
    try:
        with TemporaryDirectory(dir=path.parent, prefix='.part-') as folder:
            part = Path(folder, path.name)
            yield part
            replace_files(part, path)
    except OSError as error:
        raise cannot_write(path, error) from error


def replace_files(part: Path, path: Path):
    """Move the files of an export to those of ``path``, all or none."""
    # Companions first: without one, the main file is not readable.
    pairs = [*zip(files_of(part), files_of(path), strict=True)][::-1]
    before = part.with_name('before')
    before.mkdir()
    for _, final in pairs:
        if final.is_file():
            shutil.copy2(final, before / final.name)
    try:
        for written, final in pairs:
            os.replace(written, final)
    except BaseException:
        for _, final in pairs:
            if (before / final.name).is_file():
                os.replace(before / final.name, final)
            else:
                final.unlink(missing_ok=True)
        raise
