"""Views of a clip in testing: one switch for clips and crops."""

import re

from ..errors import UserError


def apply_test_views(cfg: dict):
    """Have the test pipeline make the views that ``test_views`` asks for.

    ``test_views`` is ``'4x3'`` for 4 clips of 3 crops each, any number of
    clips and 1 or 3 crops. The step with ``clip_len`` gets ``num_clips``;
    for 3 crops ``CenterCrop`` becomes ``ThreeCrop`` of the same size, and
    the resizing before it makes the short side as long, so that the three
    lie side by side along the long one. Without ``test_views`` the pipeline
    is used as it is.

    Raises:
        UserError: If the views are not understood, or the pipeline has no
            step to change.
    """
    views = cfg.get('test_views')
    if views is None:
        return
    match = re.fullmatch(r'([1-9]\d*)x([13])', str(views))
    if not match:
        raise UserError(
            f"test_views is {views!r}; give CLIPSxCROPS, such as '1x1' or "
            "'4x3': any number of clips, 1 or 3 crops"
        )
    steps = cfg['test_dataloader']['dataset']['pipeline']
    clips, crops = map(int, match.groups())
    find(steps, lambda step: 'clip_len' in step, views)['num_clips'] = clips
    if crops == 1:
        return
    crop = find(
        steps, lambda s: s['type'] in ('CenterCrop', 'ThreeCrop'), views
    )
    crop['type'] = 'ThreeCrop'
    before = steps[: steps.index(crop)]
    resize = find(before, lambda step: step['type'] == 'Resize', views)
    resize['scale'] = (-1, crop['crop_size'])


def find(steps: list[dict], wanted, views: str) -> dict:
    """The last step that is wanted."""
    for step in reversed(steps):
        if wanted(step):
            return step
    raise UserError(
        f'test_views is {views!r}, which wants a test pipeline of a sampling '
        'step with clip_len, Resize and CenterCrop; set the pipeline itself, '
        'without test_views'
    )
