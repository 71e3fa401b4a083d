"""Check that the parts of a built model fit its backbone."""

import sys

from mmaction.models import heads
from mmaction.models.necks import TPN
from mmaction.models.recognizers import Recognizer2D, Recognizer3D
from torch import nn

from ..errors import UserError
from .every_frame_head import EveryFrameHead

# What heads do that expect something else than feature maps.
OTHER_INPUT = {
    heads.TimeSformerHead: 'takes pooled tokens (N, C)',
    heads.UniFormerHead: 'takes pooled features (N, C)',
    heads.MViTHead: 'takes the patch and class tokens of MViT',
    heads.SlowFastHead: 'takes the maps of two pathways',
    heads.RGBPoseHead: 'takes the maps of two modalities',
    heads.GCNHead: 'takes the features of graph nodes',
}
FRAME_HEADS = (heads.TSNHead, heads.TSMHead, heads.TRNHead)
CLIP_HEADS = (heads.I3DHead, heads.X3DHead, heads.TPNHead)


def check_parts(model: nn.Module):
    """Check head, neck and preprocessor of a model with a Video-FocalNet.

    Parts of classes that MMAction2 lacks are not checked.

    Raises:
        UserError: If a part takes something else than the backbone returns,
            with the key to set.
    """
    backbone = model.backbone
    check_normalisation(getattr(model, 'data_preprocessor', None), backbone)
    head = getattr(model, 'cls_head', None)
    neck = getattr(model, 'neck', None)
    if neck is not None:
        check_neck(neck, head, backbone)
    elif isinstance(head, heads.BaseHead):
        kind = type(head).__name__
        check_head_kind(kind, head, model, backbone)
        check_head_channels(kind, head, backbone)
        check_window(head, backbone)


def check_normalisation(preprocessor, backbone):
    """Reject a mean of other channels than the backbone's."""
    mean = getattr(preprocessor, 'mean', None)
    channels = backbone.in_channels
    if mean is not None and mean.numel() not in (1, channels):
        raise UserError(
            f'model.data_preprocessor.mean has {mean.numel()} channels but '
            f'model.backbone.in_channels is {channels}; give mean and std '
            'per channel, or set in_channels'
        )


def check_neck(neck, head, backbone):
    """Reject a neck of other inputs than the backbone's outputs.

    The head of a TPN needs the channels that TPN returns, 2048.
    """
    wanted = getattr(neck, 'in_channels', None)
    returned = backbone.num_features
    if isinstance(wanted, list | tuple) and tuple(wanted) != returned:
        raise UserError(
            f'model.neck.in_channels is {tuple(wanted)} but the backbone '
            f'returns maps of {returned} channels; set '
            f'model.neck.in_channels={returned}, also in the parts of the '
            'neck (spatial_modulation_cfg), or change out_indices or arch of '
            'the backbone'
        )
    if isinstance(neck, TPN) and isinstance(head, heads.BaseHead):
        channels = neck.pyramid_fusion.conv.out_channels
        if head.in_channels != channels:
            raise UserError(
                f'model.cls_head.in_channels is {head.in_channels} but the '
                f'neck TPN returns {channels} channels, whatever its '
                f'arguments; set model.cls_head.in_channels={channels}'
            )


def check_head_kind(kind: str, head, model, backbone):
    """Reject a head of other inputs than maps of this number of axes."""
    channels = backbone.num_features[-1]
    frames = isinstance(model, Recognizer2D)
    suitable = 'TSNHead' if frames else 'I3DHead'
    remedy = (
        f"set model.cls_head.type='{suitable}' and "
        f'model.cls_head.in_channels={channels}'
    )
    several = len(backbone.num_features) > 1
    tokens = isinstance(head, heads.MViTHead) and head.with_cls_token
    if isinstance(head, heads.MViTHead) and several and not tokens:
        return  # it averages the last map
    for cls, takes in OTHER_INPUT.items():
        if isinstance(head, cls):
            raise UserError(
                f'{kind} {takes} but the backbone returns feature maps; '
                f'{remedy}'
            )
    if several:
        raise UserError(
            f'{kind} takes one feature map but the backbone returns '
            f'{len(backbone.num_features)}, out_indices='
            f'{backbone.out_indices}; set model.backbone.out_indices='
            f'({backbone.out_indices[-1]},) and '
            f'model.cls_head.in_channels={channels}, or add a neck'
        )
    # TPNHead is a TSNHead that takes clips.
    of_clips = isinstance(head, CLIP_HEADS)
    of_frames = isinstance(head, FRAME_HEADS) and not of_clips
    if isinstance(model, Recognizer3D) and of_frames:
        raise UserError(
            f'{kind} takes the maps of single frames but Recognizer3D passes '
            f"those of clips; {remedy}, or set model.type='Recognizer2D' and "
            'format_shape="NCHW"'
        )
    if frames and of_clips:
        raise UserError(
            f'{kind} takes the maps of clips but Recognizer2D passes those of '
            f"single frames; {remedy}, or set model.type='Recognizer3D' and "
            'format_shape="NCTHW"'
        )
    if type(head) in (heads.I3DHead, heads.TSNHead) and not head.avg_pool:
        raise UserError(
            f'{kind} has spatial_type={head.spatial_type!r}, which takes '
            'pooled features, but the backbone returns feature maps; set '
            "model.cls_head.spatial_type='avg'"
        )


def check_head_channels(kind: str, head, backbone):
    """Reject a head of other channels than the last output's."""
    channels = backbone.num_features[-1]
    if head.in_channels is not None and head.in_channels != channels:
        raise UserError(
            f'model.cls_head.in_channels of {kind} is {head.in_channels} but '
            f'the backbone returns {channels} channels; set '
            f'model.cls_head.in_channels={channels}'
        )


def check_window(head, backbone):
    """Reject an ``EveryFrameHead`` of another window than the backbone's."""
    if not isinstance(head, EveryFrameHead):
        return
    if backbone.temporal_window is None:
        raise UserError(
            'EveryFrameHead answers after every frame, but the features of '
            'the backbone need whole clips; set model.backbone.temporal='
            "'causal', or model.cls_head.type='I3DHead'"
        )
    if head.temporal_window != backbone.temporal_window:
        raise UserError(
            f'model.cls_head.temporal_window is {head.temporal_window} but '
            f'that of the backbone is {backbone.temporal_window}; set both '
            'to the same'
        )


def initialising_model(backbone: nn.Module) -> nn.Module | None:
    """The model whose ``init_weights`` is calling that of its backbone.

    A module does not know its parent, and MMEngine's plain runner has no
    check between building a model and training it; but it initialises the
    model first, which calls the backbone.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == 'init_weights':
            owner = frame.f_locals.get('self')
            if getattr(owner, 'backbone', None) is backbone:
                return owner
        frame = frame.f_back
    return None
