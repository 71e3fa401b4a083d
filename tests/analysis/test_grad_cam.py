"""Grad-CAM of the whole network and of layers inside."""

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmaction.utils import GradCAM
from small_recipe import recognizer

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.grad_cam import LayerGradCAM

FRAMES, SIZE = 4, 32


@pytest.fixture
def model():
    model = MODELS.build(recognizer())
    model.init_weights()
    model.cls_head.fc_cls.weight.data.normal_()
    return model


@pytest.fixture
def clip():
    """Two views of a clip, as the test pipeline packs them."""
    views = torch.randint(0, 255, (2, 3, FRAMES, SIZE, SIZE)).float()
    return dict(
        inputs=[views], data_samples=[ActionDataSample().set_gt_label(1)]
    )


def localization(cam, clip):
    return cam._calculate_localization_map(clip, use_labels=False)[0]


def scaled(maps):
    """Maps (B, T, H, W) at the size of the clip, from 0 to 1 per clip."""
    size = (FRAMES, SIZE, SIZE)
    maps = F.interpolate(maps[:, None], size, mode='trilinear')[:, 0]
    low = maps.amin((1, 2, 3), keepdim=True)
    return (maps - low) / (maps.amax((1, 2, 3), keepdim=True) - low)


@pytest.mark.parametrize('kind', [GradCAM, LayerGradCAM])
def test_at_the_last_map_it_is_the_class_activation_map(model, clip, kind):
    # Behind a mean over positions and a linear layer the gradient of a class
    # is its row of weights, for each position.
    found = localization(kind(model, 'backbone'), clip)
    views = model.data_preprocessor(clip)['inputs'].flatten(0, 1)
    with torch.no_grad():
        maps = model.backbone(views)  # (2, C, T, H, W)
        scores = model.cls_head(maps).mean(0)
        row = model.cls_head.fc_cls.weight[scores.argmax()]
        expected = torch.einsum('bcthw,c->bthw', maps, row).relu()
    torch.testing.assert_close(found, scaled(expected), atol=1e-4, rtol=0)


def test_the_last_block_gives_the_map_of_the_gradients_before_the_norm(
    model, clip
):
    found = localization(LayerGradCAM(model, 'backbone/layers/1'), clip)
    kept = []
    hook = model.backbone.norm.register_forward_pre_hook(
        lambda module, args: kept.append(args[0])
    )
    views = model.data_preprocessor(clip)['inputs'].flatten(0, 1)
    logits = model.cls_head(model.backbone(views)).mean(0)
    hook.remove()
    gradients = torch.autograd.grad(logits.max(), kept[0])[0]
    weights = gradients.mean((1, 2), keepdim=True)  # (B*T, 1, 1, C)
    expected = (weights * kept[0]).sum(-1).relu().view(2, FRAMES, 4, 4)
    torch.testing.assert_close(found, scaled(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    'layer',
    ['patch_embed', 'layers/0/blocks/0', 'layers/1/blocks/0/modulation'],
)
def test_layers_inside_give_pictures_of_each_view(model, clip, layer):
    cam = LayerGradCAM(model, f'backbone/{layer}')
    pictures, scores = cam(clip)
    assert pictures.shape == (2, FRAMES, SIZE, SIZE, 3)
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert scores.shape == (1, 4)
    assert cam.target_gradients.abs().max() > 0


def test_mmaction2_itself_does_not_take_a_block(model, clip):
    with pytest.raises(ValueError, match='unpack'):
        localization(GradCAM(model, 'backbone/layers/0/blocks/0'), clip)


def test_layers_without_a_map_are_named(model, clip):
    with pytest.raises(UserError, match='no layer .backbone/layer4.'):
        LayerGradCAM(model, 'backbone/layer4')
    with pytest.raises(UserError, match='neither'):
        LayerGradCAM(model, 'backbone/patch_embed/proj')(clip)
