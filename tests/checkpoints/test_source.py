"""Checkpoints are recognised however they were saved."""

import pytest
import torch
from hostile_checkpoints import endless_values, time_limit
from small_recognizers import as_released, assert_same, narrow, weights_of
from torch import nn

from dvfl_mmaction.checkpoints.convert_file import convert_file
from dvfl_mmaction.checkpoints.released import rename_released
from dvfl_mmaction.checkpoints.source import read_source, strip_prefixes


@pytest.mark.parametrize('prefix', ['', 'module.', 'module._orig_mod.'])
@pytest.mark.parametrize('container', ['', 'model', 'state_dict'])
@pytest.mark.parametrize('names', [dict, as_released])
def test_every_container_and_prefix_is_recognised(
    tmp_path, prefix, container, names
):
    weights = narrow().state_dict()
    saved = {prefix + k: v for k, v in names(weights).items()}
    if container:
        saved = {container: saved, 'optimizer': {'state': {0: torch.ones(9)}}}
    torch.save(saved, tmp_path / 'src.pth')
    lines = convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    assert_same(weights_of(tmp_path / 'dst.pth'), weights)
    assert ('optimizer' in lines[1]) == bool(container)


def test_a_prefix_of_some_names_is_none_of_the_file():
    weights = {'module.norm.bias': 1, 'norm.weight': 2}
    assert strip_prefixes(weights) == weights


@pytest.mark.parametrize('saver', ['mmengine', 'timm', 'released'])
def test_averaged_weights_are_used_and_reported(tmp_path, saver):
    average, last = narrow().state_dict(), narrow().state_dict()
    raw = {f'module.{k}': v for k, v in last.items()}
    saved = dict(
        mmengine=dict(
            state_dict=average,  # MMEngine swaps the two as it saves
            ema_state_dict=raw | {'steps': torch.tensor(3)},
        ),
        timm=dict(state_dict=last, state_dict_ema=average),
        released=dict(model=as_released(last), model_ema=as_released(average)),
    )[saver]
    torch.save(saved, tmp_path / 'src.pth')
    lines = convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    assert_same(weights_of(tmp_path / 'dst.pth'), average)
    assert 'averaged over training (EMA)' in lines[1]


@pytest.mark.parametrize('kind', endless_values())
def test_a_version_that_is_no_text_is_ignored(tmp_path, kind):
    meta = dict(dvfl_mmaction_version=endless_values()[kind])
    saved = dict(state_dict=narrow().state_dict(), meta=meta)
    torch.save(saved, tmp_path / 'src.pth')
    with time_limit():
        source = read_source(tmp_path / 'src.pth')
        assert source.title == 'an MMAction2 recognizer'


@pytest.mark.parametrize('content', [{}, dict(state_dict={}), dict(model={})])
def test_a_checkpoint_without_weights_is_no_released_one(content):
    with time_limit(20):
        assert rename_released(content, 'a.pth', nn.Module(), 'config') is None
