"""Capture the device graph with ``torch.export``."""

from dataclasses import dataclass

import torch
from torch import nn

from ..errors import UserError
from ..models import VideoFocalNet
from .device_graph import make_device_graph

AXES = ('batch', 'frames', 'size')


@dataclass
class CapturedGraph:
    """A device graph as one graph of ATen operators.

    Attributes:
        program: ``torch.export.ExportedProgram``.
        input_names: One per input.
        output_names: One per output.
    """

    program: torch.export.ExportedProgram
    input_names: list[str]
    output_names: list[str]


def check_axes(dynamic, backbone: VideoFocalNet, streaming: bool):
    """Reject axes that cannot be dynamic.

    Raises:
        UserError: If a name is unknown, or the form of the model fixes it.
    """
    for axis in dynamic:
        if axis not in AXES:
            raise UserError(
                f'dynamic axis {axis!r}; give any of {", ".join(AXES)}'
            )
    if streaming and {'frames', 'size'} & set(dynamic):
        raise UserError(
            'a streaming model takes one frame at a time, of the size of its '
            'state; only batch can be dynamic'
        )
    if 'frames' in dynamic and backbone.temporal_window is not None:
        raise UserError(
            "frames cannot be dynamic with temporal='causal', whose means "
            'are unrolled; export it with --streaming for any length'
        )


def capture_graph(
    recognizer: nn.Module,
    clip_len: int,
    size: tuple[int, int],
    dynamic=(),
    streaming: bool = False,
) -> CapturedGraph:
    """Make the device graph and capture it.

    Args:
        recognizer: Trained; see :func:`.device_graph.make_device_graph`.
        clip_len: Frames per clip T.
        size: Height and width of the frames, in pixels.
        dynamic: Axes that take any length, of ``batch``, ``frames`` and
            ``size``; a fixed batch is 1.
        streaming: The frame-by-frame form.

    Raises:
        UserError: If the graph cannot be made, or an axis cannot be
            dynamic.
    """
    fixed = None if 'frames' in dynamic else clip_len
    graph = make_device_graph(recognizer, fixed, streaming)
    check_axes(dynamic, recognizer.backbone, streaming)
    # An axis of length 1, also of a map, would be taken for a constant.
    batch = 2 if 'batch' in dynamic else 1
    if 'frames' in dynamic:
        clip_len = max(clip_len, 2 * recognizer.backbone.tubelet_size)
    if 'size' in dynamic:
        least = 2 * recognizer.backbone.min_size
        size = tuple(max(side, least) for side in size)
    pick = dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC)
    if streaming:
        frames = torch.zeros(batch, *size, 3, dtype=torch.uint8)
        state = graph.initial_state(batch, *size)
        args = (frames, *state)
        rows = {0: pick['batch']} if 'batch' in pick else None
        shapes = (rows, (rows,) * len(state)) if rows else None
        inputs = ['frame', *(f'state_{i}' for i in range(len(state)))]
        outputs = [
            'probabilities',
            *(f'next_state_{i}' for i in range(len(state))),
        ]
    else:
        frames = torch.zeros(batch, clip_len, *size, 3, dtype=torch.uint8)
        args = (frames,)
        names = ('batch', 'frames', 'size', 'size')
        shapes = ({i: pick[n] for i, n in enumerate(names) if n in pick},)
        inputs, outputs = ['frames'], ['probabilities']
    with torch.no_grad():
        program = torch.export.export(graph, args, dynamic_shapes=shapes)
    return CapturedGraph(program, inputs, outputs)
