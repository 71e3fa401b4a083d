"""Refused code is named."""

import os
import pickle
import warnings

import pytest
import torch
from hostile_checkpoints import Call, assert_refused, hostile_calls

from dvfl_mmaction.checkpoints.unsafe_names import unsafe_names

NAMES = list(hostile_calls('canary'))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('place', ['top', 'nested'])
def test_code_is_refused_by_file_and_name(tmp_path, canary, name, place):
    hostile = hostile_calls(canary)[name]
    if place == 'nested':
        hostile = {'state_dict': {'w': torch.zeros(1), 'b': [(hostile,)]}}
    path = tmp_path / 'hostile.pth'
    torch.save(hostile, path)
    assert_refused(path, name)


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_a_bare_pickle_is_refused_by_name_for_every_protocol(
    tmp_path, canary, protocol
):
    path = tmp_path / 'hostile.pkl'
    call = Call(os.system, f'touch "{canary}"')
    path.write_bytes(pickle.dumps({'state_dict': call}, protocol))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert_refused(path, 'posix.system')


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_named_in_both_formats_of_torch(
    tmp_path, canary, protocol, zipped
):
    path = tmp_path / 'hostile.pth'
    torch.save(
        {'meta': Call(eval, f'open({str(canary)!r}, "w")')},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    assert_refused(path, 'builtins.eval')


def test_all_the_code_in_an_archive_is_named(tmp_path, canary):
    calls = hostile_calls(canary)
    path = tmp_path / 'hostile.pth'
    torch.save([calls['posix.system'], calls['builtins.eval']], path)
    assert_refused(path, '(builtins.eval, posix.system)')
    torch.save(
        [calls['posix.system'], calls['builtins.eval']],
        path,
        _use_new_zipfile_serialization=False,
    )
    assert_refused(path, '(posix.system)')


@pytest.mark.parametrize('zipped', [True, False])
def test_the_first_name_of_a_newer_protocol_that_is_not_weights_is_given(
    tmp_path, zipped
):
    path = tmp_path / 'hostile.pth'
    torch.save(
        {'w': torch.zeros(2), 'a': Call(len, ()), 'b': Call(eval, '1')},
        path,
        pickle_protocol=4,
        _use_new_zipfile_serialization=zipped,
    )
    message = 'Unsupported operand 149'
    assert unsafe_names(message, path) == ['builtins.len']
    assert unsafe_names('another error', path) == []


def test_a_file_without_code_has_no_unsafe_names(tmp_path):
    path = tmp_path / 'sound.pth'
    for protocol in (2, 4):
        for zipped in (True, False):
            torch.save(
                {'w': torch.zeros(2)},
                path,
                pickle_protocol=protocol,
                _use_new_zipfile_serialization=zipped,
            )
            assert unsafe_names('Unsupported operand 149', path) == []


def test_an_error_without_a_file_gives_the_name_it_contains():
    error = 'Unsupported global: GLOBAL eval was not an allowed global'
    assert unsafe_names(error) == ['builtins.eval']
    assert unsafe_names('Unsupported operand 149') == []
