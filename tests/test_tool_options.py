"""Options that several tools have."""

import argparse

import pytest
import torch
from mmengine.config import Config

from dvfl_mmaction import UserError
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_device,
    add_workers,
    check_least,
    choose_device,
    merge_options,
    refuse_unread,
)


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    parser.add_argument('--batch-size', type=int, nargs='+')
    parser.add_argument('--seconds', type=float, default=1.0)
    return parser


@pytest.mark.parametrize(
    'words',
    [[], ['--batch-size', '2', '3'], ['--seconds', '0.5']],
    ids=' '.join,
)
def test_values_that_are_large_enough_pass(parser, words):
    args = parser.parse_args(words)
    check_least(parser, args, batch_size=2, seconds=0.5)


@pytest.mark.parametrize(
    'words, message',
    [
        ('--batch-size 2 1', '--batch-size 1; give 2 or more'),
        ('--seconds 0.4', '--seconds 0.4; give 0.5 or more'),
        ('--seconds nan', '--seconds nan; give 0.5 or more'),
    ],
)
def test_a_value_that_is_too_small_ends_the_program(
    parser, capsys, words, message
):
    args = parser.parse_args(words.split())
    with pytest.raises(SystemExit) as stop:
        check_least(parser, args, batch_size=2, seconds=0.5)
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f'error: {message}\n')


def test_options_have_one_meaning_in_a_parser_and_in_a_group(monkeypatch):
    parser = argparse.ArgumentParser()
    group = parser.add_argument_group('model')
    add_device(group)
    add_workers(group)
    add_cfg_options(parser, 'clip_len=16')
    words = '--device cuda:1 --workers 0 --cfg-options a.b=2 c=x'
    args = parser.parse_args(words.split())
    assert choose_device(args.device) == 'cuda:1' and args.workers == 0
    assert args.cfg_options == {'a.b': 2, 'c': 'x'}
    args = parser.parse_args([])
    assert args.cfg_options is None and 1 <= args.workers <= 8
    for found, device in ((True, 'cuda'), (False, 'cpu')):
        monkeypatch.setattr(torch.cuda, 'is_available', [found].pop)
        assert choose_device(args.device) == device


@pytest.mark.parametrize(
    'words, message',
    [
        (['a=1', 'video.mp4'], 'video.mp4 is not KEY=VALUE; give such'),
        (['=1'], '=1 is not KEY=VALUE; give such'),
        (['a=[1,2'], 'Imbalanced brackets exist in [1,2; close'),
    ],
    ids=' '.join,
)
def test_malformed_options_of_a_config_are_one_line(capsys, words, message):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser, 'clip_len=16')
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(['--cfg-options', *words])
    assert stop.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f'argument --cfg-options: {message}' in line


def test_options_of_a_config_may_be_empty_or_hold_equals_signs():
    parser = argparse.ArgumentParser()
    add_cfg_options(parser, 'clip_len=16')
    words = ['--cfg-options', 'a=', 'b=c=d', 'e=[1,(2,3)]']
    assert parser.parse_args(words).cfg_options == {
        'a': '',
        'b': 'c=d',
        'e': [1, (2, 3)],
    }


def test_an_option_that_nothing_reads_ends_the_program(parser, capsys):
    names = ('batch_size', 'seconds')
    refuse_unread(parser, parser.parse_args([]), names, '--train')
    same = parser.parse_args(['--seconds', '1'])
    refuse_unread(parser, same, names, '--train')
    for words, name in (('--seconds 2', 'seconds'), ('--batch-size 0', '')):
        args = parser.parse_args(words.split())
        with pytest.raises(SystemExit):
            refuse_unread(parser, args, names, '--train')
        wanted = f'--{name or "batch-size"} needs --train\n'
        assert capsys.readouterr().err.endswith(wanted)


def test_options_are_merged_together():
    cfg = Config(dict(a=dict(b=1, c=2), d=[dict(e=1)]))
    merge_options(cfg, None, 'x.py')
    options = {'a.f': 3, 'a._delete_': True, 'd.0.e': 4}
    merge_options(cfg, options, 'x.py')
    assert cfg.to_dict() == dict(a=dict(f=3), d=[dict(e=4)])


@pytest.mark.parametrize(
    'key, reason',
    [
        ('d.1.e', 'Index 1 exceeds the length of list'),
        ('d.x.e', 'list indices must be integers'),
        ('a.b.c', 'b is a dict in the child config but is of type'),
    ],
)
def test_an_option_without_a_place_is_one_line(key, reason):
    cfg = Config(dict(a=dict(b=1), d=[dict(e=1)]))
    with pytest.raises(UserError) as caught:
        merge_options(cfg, {key: 5}, 'x.py')
    line = str(caught.value)
    assert line.startswith(f'x.py has no place for {key} (')
    assert reason in line and line.endswith('dict that should have it')
