"""Quantise a device graph to int8 after training, on calibration inputs."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from .exported_model import ExportedModel
from .extras import import_extra
from .writers import quiet, to_onnx, to_openvino

# Layers that stay in float, step by step, until the accuracy is kept. By
# largest difference linear layers are the most sensitive, depthwise
# convolutions the least.
LADDER = (
    (),
    ('fc', 'gates'),
    ('fc', 'gates', 'fc2', 'proj'),
    (
        *('fc', 'gates', 'fc1', 'fc2', 'proj', 'query', 'context', 'h'),
        *('projection', 'taps'),
    ),
)


class CalibrationInputs:
    """Inputs of a file, from clips; they can be read several times.

    A streaming model plays each clip anew, and every frame with its state
    is an input: states are too large to keep, 33 MB each for VFL-Net.

    Args:
        model: In float32.
        clips: (1, T, H, W, 3) uint8 each.
    """

    def __init__(self, model: ExportedModel, clips: Sequence[np.ndarray]):
        self.model = model
        self.clips = clips

    def __len__(self) -> int:
        if self.model.kind == 'clip':
            return len(self.clips)
        return sum(clip.shape[1] for clip in self.clips)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        for clip in self.clips:
            if self.model.kind == 'clip':
                yield [clip]
                continue
            state = self.model.initial_state(1)
            for frame in clip[0]:
                yield [frame[None], *state]
                _, state = self.model.step(frame[None], state)


def kept_nodes(names: Iterable[str], kept: Sequence[str]) -> list[str]:
    """Those matrix products that belong to layers that stay in float.

    Args:
        names: Names of nodes, of the form ``stages.0.0.fc1/MatMul``.
        kept: Names of layers, such as ``'fc1'``.
    """
    return [
        name
        for name in names
        if set(name.partition('/')[0].split('.')) & set(kept)
    ]


def quantise_openvino(model, inputs: CalibrationInputs, kept: Sequence[str]):
    """Quantise an ``openvino.Model`` with NNCF.

    NNCF's transformer model type is used, weights of 7 bits, whose sums do
    not overflow on a processor without VNNI, and no smooth quantisation,
    which the demo's students lose by.

    Args:
        model: In float32; it is not changed.
        inputs: Of the calibration.
        kept: Layers that stay in float.

    Returns:
        The quantised model.
    """
    nncf = import_extra('nncf')
    names = [port.any_name for port in model.inputs]
    nodes = [
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == 'MatMul'
    ]
    dataset = nncf.Dataset(
        inputs, lambda arrays: dict(zip(names, arrays, strict=True))
    )
    scope = nncf.IgnoredScope(names=kept_nodes(nodes, kept), validate=False)
    parameters = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(
            convolution=-1, matmul=-1
        ),
    )
    with quiet('nncf'):
        return nncf.quantize(
            model.clone(),
            dataset,
            model_type=nncf.ModelType.TRANSFORMER,
            advanced_parameters=parameters,
            subset_size=len(inputs),
            ignored_scope=scope if scope.names else None,
        )


def quantise_onnx(model, inputs: CalibrationInputs, kept: Sequence[str]):
    """Quantise convolutions and matrix products with ONNX Runtime.

    Weights have 7 bits: sums of products of 8 bits overflow on a processor
    without VNNI.

    Args:
        model: ``onnx.ModelProto`` in float32; it is not changed.
        inputs: Of the calibration.
        kept: Layers that stay in float.

    Returns:
        The quantised model.
    """
    onnx = import_extra('onnx')
    tools = import_extra('onnxruntime.quantization')
    names = [port.name for port in model.graph.input]

    class Reader(tools.CalibrationDataReader):
        left = iter(inputs)

        def get_next(self):
            arrays = next(self.left, None)
            return arrays and dict(zip(names, arrays, strict=True))

    nodes = [
        node.name
        for node in model.graph.node
        if node.op_type in ('MatMul', 'Gemm')
    ]
    with TemporaryDirectory() as folder, quiet('root'):
        paths = [Path(folder, name) for name in ('float.onnx', 'int8.onnx')]
        onnx.save(model, paths[0])
        tools.quantize_static(
            paths[0],
            paths[1],
            Reader(),
            per_channel=True,
            reduce_range=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            op_types_to_quantize=['Conv', 'MatMul', 'Gemm'],
            nodes_to_exclude=kept_nodes(nodes, kept),
            # A product of two activations would need two quantisers.
            extra_options=dict(MatMulConstBOnly=True),
        )
        return onnx.load(paths[1])


FLOAT_MODELS = dict(onnx=to_onnx, openvino=to_openvino)
QUANTISERS = dict(onnx=quantise_onnx, openvino=quantise_openvino)
