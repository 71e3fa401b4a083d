"""The tool that scales the last layer of a checkpoint, run by a user."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_dataset, write_teacher
from warm_process import run_script

from dvfl_mmaction.checkpoints.safe_loading import load_checkpoint_file
from dvfl_mmaction.files import hash_file

TOOLS = Path(__file__).parents[2] / 'tools'
HEAD = 'cls_head.fc_cls'


def run(folder, tool, *words):
    return run_script(TOOLS / tool, *words, cwd=folder)


def probabilities(folder, checkpoint, *words):
    """Probabilities of all classes, (N, 4), by the tool for prediction."""
    average = words[1].rpartition('=')[2] if words else ''
    name = f'{Path(checkpoint).stem}_{average}.json'
    done = run(
        folder,
        'predict.py',
        *('config.py', checkpoint, 'clips/list.txt', '--workers', '0'),
        *('--json', name, *words),
    )
    assert done.returncode == 0, done.stderr
    clips = json.loads((folder / name).read_text())['clips']
    rows = np.zeros((len(clips), 4))
    for row, clip in zip(rows, clips, strict=True):
        for entry in clip['predictions']:
            row[int(entry['class'])] = entry['probability']
    return rows


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: a network that is right for two clips of three."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'clips', clips_per_class=6)
    write_teacher(folder / 'model.pth', config=recognizer())
    config = recipe(recognizer(), folder / 'clips', folder / 'work')
    Config(config).dump(str(folder / 'config.py'))
    answers = probabilities(folder, 'model.pth').argmax(1)
    path = folder / 'clips' / 'list.txt'
    names = [line.split()[0] for line in path.read_text().splitlines()]
    labels = (answers + (np.arange(24) % 3 == 0)) % 4
    lines = [f'{n} {label}\n' for n, label in zip(names, labels, strict=True)]
    (folder / 'clips' / 'broken.mp4').write_bytes(b'')
    (folder / 'clips' / 'few.txt').write_text(''.join(lines[:19]))
    # Neither a broken clip nor one without a label counts.
    lines += ['broken.mp4 1\n', f'{names[0]} -1\n']
    (folder / 'clips' / 'calibration.txt').write_text(''.join(lines))
    return folder


LIST = ('--list', 'clips/calibration.txt', '--workers', '0')


def test_the_probabilities_change_and_no_answer(folder):
    done = run(
        folder, 'calibrate.py', 'config.py', 'model.pth', 'new.pth', *LIST
    )
    assert done.returncode == 0, done.stderr
    line, wrote = done.stdout.splitlines()
    assert line.startswith('temperature ') and wrote == 'wrote new.pth'
    assert ' from 24 clips (1 more are broken): ' in line
    assert 'where 66.7 % are right' in line
    before = load_checkpoint_file(folder / 'model.pth')['state_dict']
    new = load_checkpoint_file(folder / 'new.pth')
    about = new['meta']['calibration']
    assert about['clips'] == 24 and about['file'] == 'model.pth'
    assert about['sha256'] == hash_file(folder / 'model.pth')
    after, temperature = new['state_dict'], about['temperature']
    assert list(after) == list(before)
    for name, value in before.items():
        if name.startswith(HEAD):
            value = value / temperature
        torch.testing.assert_close(after[name], value, rtol=1e-6, atol=0)
    old, now = (
        probabilities(folder, name) for name in ('model.pth', 'new.pth')
    )
    np.testing.assert_array_equal(now.argmax(1), old.argmax(1))
    # At the best temperature the mean log-odds fit: a second fit finds 1.
    done = run(
        folder, 'calibrate.py', 'config.py', 'new.pth', 'again.pth', *LIST
    )
    assert done.stdout.startswith('temperature 1.000 from 24 clips'), done


def test_the_default_is_the_validation_list_and_safetensors_works(folder):
    options = ['--cfg-options', 'val_dataloader.dataset.ann_file=']
    options[1] += 'calibration.txt'
    words = ['config.py', 'model.pth', 'new.safetensors', '--workers', '0']
    done = run(folder, 'calibrate.py', *words, '--clips', '22', *options)
    assert done.returncode == 0, done.stderr
    assert ' from 2' in done.stdout
    new = load_checkpoint_file(folder / 'new.safetensors')
    assert new['meta']['calibration']['file'] == 'model.pth'
    assert f'{HEAD}.bias' in new['state_dict']


@pytest.mark.parametrize('average', ['prob', 'score'])
def test_several_views_are_averaged_as_the_head_does(folder, average):
    head = f'model.cls_head.average_clips={average}'
    options = ['--cfg-options', head]
    for key in ('val_dataloader.dataset', 'test_dataloader.dataset'):
        options.append(f'{key}.pipeline.1.num_clips=3')
    words = ['config.py', 'model.pth', f'{average}.pth', *LIST, *options]
    done = run(folder, 'calibrate.py', *words)
    assert done.returncode == 0, done.stderr
    # At the temperature that was found, a second one is 1.
    words[1:3] = [f'{average}.pth', 'again.pth']
    again = run(folder, 'calibrate.py', *words)
    assert again.stdout.startswith('temperature 1.000 from 24 clips'), again
    old, new = (
        probabilities(folder, name, *options)
        for name in ('model.pth', f'{average}.pth')
    )
    changed = int((old.argmax(1) != new.argmax(1)).sum())
    assert changed == 0 or average == 'prob'
    told = f'; {changed} answers change, since' if changed else '; ECE '
    assert told in done.stdout
    # The logarithm of the odds is divided by T where logits are averaged.
    temperature = load_checkpoint_file(folder / f'{average}.pth')['meta'][
        'calibration'
    ]['temperature']
    scaled = old ** (1 / temperature)
    scaled /= scaled.sum(1, keepdims=True)
    assert np.allclose(new, scaled, atol=1e-4) == (average == 'score')


@pytest.mark.parametrize(
    ('words', 'status', 'message'),
    [
        (
            ['model.pth', 'x.pth', '--list', 'clips/few.txt'],
            1,
            '19 clips with a label can be read of 19; a temperature needs 20',
        ),
        (['model.pth', 'model.pth', *LIST], 1, 'model.pth is the source itse'),
        (['model.pth', 'clips/list.txt'], 1, '(lists of clips follow --list)'),
        (['model.pth', 'absent/x.pth', *LIST], 1, 'in an existing folder'),
        (['model.pth', 'x.pth', '--root', 'clips'], 2, '--root needs --list'),
        (['model.pth', 'x.pth', '--clips', '3'], 2, '--clips 3; give 20 or'),
        (
            ['model.pth', 'x.pth', *LIST, '--cfg-options']
            + ['model.cls_head.loss_cls.type=BCELossWithLogits'],
            1,
            'the model predicts several labels per clip',
        ),
    ],
)
def test_one_line_says_what_is_wrong_and_nothing_is_written(
    folder, words, status, message
):
    inputs = [folder / 'model.pth', folder / 'clips' / 'list.txt']
    before = [hash_file(path) for path in inputs]
    done = run(folder, 'calibrate.py', 'config.py', *words)
    assert done.returncode == status
    (line,) = [x for x in done.stderr.splitlines() if 'error: ' in x]
    assert message in line and 'Traceback' not in done.stderr
    assert not (folder / 'x.pth').exists()
    assert [hash_file(path) for path in inputs] == before
