"""Options that several tools have."""

import argparse

import pytest
import torch

from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_device,
    add_workers,
    check_least,
    choose_device,
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
