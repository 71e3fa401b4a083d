"""Forms of a model side by side: what the numbers mean."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_recipe import recipe, recognizer, write_dataset, write_teacher
from warm_process import run_script

from dvfl_mmaction.analysis.deployed_accuracy import answer, compare_answers
from dvfl_mmaction.analysis.deployed_benchmark import (
    Timing,
    measure_answers,
    run_deployed_benchmark,
)
from dvfl_mmaction.analysis.deployed_entries import make_entries
from dvfl_mmaction.analysis.deployed_models import DeployedModel
from dvfl_mmaction.analysis.deployed_report import draw, markdown
from dvfl_mmaction.analysis.prediction.batches import (
    ClipReader,
    predict_clips,
)
from dvfl_mmaction.analysis.prediction.clips import find_clips
from dvfl_mmaction.analysis.prediction.exported import (
    exported_pipeline,
    load_exported_predictor,
)
from dvfl_mmaction.analysis.prediction.predictor import (
    load_checkpoint_predictor,
)
from dvfl_mmaction.analysis.process_memory import measure_memory
from dvfl_mmaction.deployment.export import export_model, load_source
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.project_paths import PACKAGE

TOOL = PACKAGE.parent / 'tools' / 'benchmark_deployed.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Clips, and a clip and a causal model with their exported files."""
    folder = tmp_path_factory.mktemp('deployed')
    init_default_scope('mmaction')
    data = write_dataset(folder / 'clips', clips_per_class=1)
    for name, changes in (
        ('clip', {}),
        ('causal', dict(temporal='causal', temporal_window=4)),
    ):
        model = recognizer()
        model['backbone'].update(changes)
        config, weights = folder / f'{name}.py', folder / f'{name}.pth'
        Config(recipe(model, data, folder / 'work')).dump(str(config))
        write_teacher(weights, config=model)
        export_model(
            load_source(str(config), str(weights)),
            folder / f'{name}.pt2',
            'torch-export',
            streaming=name == 'causal',
        )
    Config(recipe(recognizer(width=12), data, folder / 'work')).dump(
        str(folder / 'peer.py')
    )
    return folder


def entries_of(folder, name, **kwargs):
    return make_entries(
        str(folder / f'{name}.py'),
        str(folder / f'{name}.pth'),
        [str(folder / f'{name}.pt2')],
        **kwargs,
    )


def test_all_forms_are_timed_in_turns_and_agree(folder, tmp_path):
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    entries = entries_of(
        folder, 'clip', bf16=True, peers=[str(folder / 'peer.py')]
    )
    run = dict(clips=clips, threads=(1,), rounds=3, memory=False)
    run['report'] = lambda line: None
    results = run_deployed_benchmark(entries, tmp_path, **run)
    names = ['eager, fp32', 'released formulation', 'eager, bf16 autocast']
    rows = {row['name']: row for row in results['rows']}
    assert list(rows) == [*names, 'clip.pt2', 'peer']
    predictor = load_checkpoint_predictor(
        entries[0].config, entries[0].checkpoint
    )
    right = sum(
        int(predictor.score([ClipReader([c], predictor)[0][1]])[0].argmax())
        == c.label
        for c in clips
    )
    released = rows['released formulation']['threads']
    for name in ('eager, fp32', 'released formulation', 'clip.pt2'):
        answers = rows[name]['answers']
        assert answers['correct'] == right and answers['labelled'] == 4
        assert answers['agreement'] == 1
        found = rows[name]['threads']['1']
        assert len(found['forward_s']) == len(found['processor_s']) == 3
        key = 'processor_s'
        pairs = zip(released['1'][key], found[key], strict=True)
        ordered = sorted(a / b for a, b in pairs)
        assert found['speed_up']['median'] == ordered[1]
    assert rows['clip.pt2']['file_bytes'] == (
        (folder / 'clip.pt2').stat().st_size
    )
    # Random weights have a speed, but no answers.
    assert 'answers' not in rows['peer'] and rows['peer']['threads']['1']
    assert results['reading']['clips'] == 4
    text = markdown(results)
    assert 'broken' not in text
    results['rows'][1]['answers']['broken'] = 2
    assert 'Up to 2 of them cannot be read or' in markdown(results)
    del results['rows'][1]['answers']['broken']
    assert f'{25 * right}.0 % (' in text and '100.0 % (-0 +0)' in text
    assert 'Frame by frame' not in text
    draw(results, tmp_path / 'figure.png')
    assert cv2.imread(str(tmp_path / 'figure.png')).std() > 5
    again = run_deployed_benchmark(entries[:2], tmp_path, **run)
    assert again['reading'] is None  # all answers are in the journal
    assert again['rows'][0]['answers'] == rows['eager, fp32']['answers']
    written = json.loads((tmp_path / 'deployed.json').read_text())
    assert written == again


def test_a_stream_is_timed_per_frame_beside_a_sliding_window(folder, tmp_path):
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    results = run_deployed_benchmark(
        entries_of(folder, 'causal', bf16=False),
        tmp_path,
        clips,
        threads=(1,),
        rounds=2,
        memory=False,
        report=lambda line: None,
    )
    _, released, stream = results['rows']
    assert stream['unit'] == 'frame' and released['unit'] == 'clip'
    assert stream['answers']['agreement'] == 1
    # The released code has no causal form: its answers mean nothing.
    assert 'answers' not in released
    found = stream['threads']['1']
    median = float(np.median(found['forward_s']))
    assert found['answers_per_s'] == pytest.approx(1 / median)
    table = markdown(results).split('Frame by frame')[1]
    assert f'{1 / median:.1f}' in table
    assert 'released formulation, sliding window' in table


def test_a_frame_continues_the_stream(folder):
    (*_, entry) = entries_of(folder, 'causal', bf16=False)
    model = DeployedModel(entry, 1)
    seen = []
    for _ in range(3):
        model.forward()
        seen.append(int(model._state[0][0]))
    assert seen == [1, 2, 3]


def test_an_exported_file_predicts_as_its_checkpoint(folder):
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    ours = load_exported_predictor(str(folder / 'clip.pt2'))
    theirs = load_checkpoint_predictor(
        str(folder / 'clip.py'), str(folder / 'clip.pth')
    )
    assert ours.pipeline == theirs.pipeline
    samples = [ClipReader(clips, ours)[i][1] for i in range(len(clips))]
    torch.testing.assert_close(
        ours.score(samples), theirs.score(samples), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    'options',
    [dict(test_views='2x1'), dict(frame_interval=2), dict(decoder='opencv')],
)
def test_options_of_clips_apply_to_all_forms(folder, options):
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    scores = []
    for entry in entries_of(
        folder, 'clip', bf16=False, options={**options, 'model.test_cfg': {}}
    ):
        predictor = DeployedModel(entry, 1).predictor
        _, sample, _ = ClipReader(clips, predictor)[0]
        assert len(sample['inputs']) == 1 + ('test_views' in options)
        scores.append(predictor.score([sample]))
        if options.get('frame_interval'):
            assert predictor.pipeline[1]['frame_interval'] == 2
        if options.get('decoder'):
            assert predictor.pipeline[0]['type'] == 'OpenCVInit'
    for found in scores[1:]:
        torch.testing.assert_close(found, scores[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(tset_views='4x3'), 'has tset_views, but .*clip.pt2 is an exp'),
        ({'model.cls_head.num_classes': 9}, 'has model.cls_head.num_classes'),
        (dict(clip_size=64), 'clip_size is 64 but .* takes 32 x 32 pixels'),
        (dict(clip_len=8), 'clip_len is 8 but .* takes 4 frames'),
        (dict(test_views='4'), "test_views is '4'; give CLIPSxCROPS"),
    ],
)
def test_options_that_no_file_can_have_are_refused(folder, options, message):
    path = str(folder / 'clip.pt2')
    with pytest.raises(UserError, match=message):
        load_exported_predictor(path, options=options)
    load_exported_predictor(path, options=dict(clip_size=32, clip_len=4))


def test_a_file_of_three_crops_takes_no_single_one():
    steps = [
        dict(type='ClipInit'),
        dict(type='UniformSample', clip_len=4),
        dict(type='ClipDecode'),
        dict(type='Resize', scale=(-1, 40)),
        dict(type='CenterCrop', crop_size=32),
    ]
    file = SimpleNamespace(path='m.onnx', kind='clip', clip_len=4)
    file.metadata, file.size, file.dynamic = dict(pipeline=steps), (32, 32), ()
    changed = exported_pipeline(file, dict(test_views='2x3'))
    assert changed[1]['num_clips'] == 2 and changed[4]['type'] == 'ThreeCrop'
    assert changed[3]['scale'] == (-1, 32)
    file.metadata['pipeline'] = changed
    with pytest.raises(UserError, match='has three crops; give three, or exp'):
        exported_pipeline(file, dict(test_views='1x1'))
    file.dynamic = ('frames', 'size')
    longer = exported_pipeline(file, dict(clip_len=8, clip_size=64))
    assert longer[1]['clip_len'] == 8 and longer[4]['crop_size'] == 64


def test_steps_that_files_cannot_follow_are_refused(folder):
    for name in ('test_pipeline.1.clip_len', 'test_dataloader.dataset'):
        with pytest.raises(UserError, match=f'has {name}, which exported'):
            options = {name: dict(pipeline=[])}
            entries_of(folder, 'clip', options=options)
    make_entries('c', 'w', options={'test_pipeline.1.clip_len': 2})


def test_memory_is_above_that_of_the_libraries(folder):
    entry = entries_of(folder, 'clip', bf16=False)[0]
    found = measure_memory(entry, 1)
    assert found['loading_bytes'] > 0
    assert 0 < found['running_bytes'] < 300e6


def test_answers_are_compared_clip_by_clip():
    found = compare_answers(
        [0, 1, 2, 2, 1], [0, 1, 1, 0, 1], [0, 0, 2, 0, None]
    )
    assert found['clips'] == 5 and found['labelled'] == 4
    assert found['correct'] == 2 and found['top1'] == 0.5
    assert found['interval'] == pytest.approx([0.150, 0.850], abs=5e-4)
    assert found['agreement'] == 0.6
    assert found['lost'] == 1 and found['gained'] == 1
    assert compare_answers([1], [0], [None], False) == dict(clips=1)


def test_a_broken_clip_is_wrong_and_agrees_with_nothing():
    found = compare_answers([-1, 0, -1, 1], [-1, 0, 1, 1], [None, 0, 1, 1])
    assert found['clips'] == 4 and found['broken'] == 2
    assert found['labelled'] == 3 and found['correct'] == 2
    assert found['agreement'] == 2 / 3
    assert found['lost'] == 1 and found['gained'] == 0
    assert compare_answers([-1], [-1], [None]) == dict(clips=1, broken=1)
    # One that only the reference does not answer counts against it, too.
    assert compare_answers([0, 1], [-1, 1], [None] * 2)['agreement'] == 0.5


def test_a_form_without_numbers_gives_no_answer():
    rows = [[0.2, 0.8], [torch.nan, torch.nan], [0.9, torch.nan]]
    scores = iter(torch.tensor([row]) for row in rows)
    predictor = SimpleNamespace(score=lambda samples: next(scores))
    form = SimpleNamespace(predictor=predictor)
    assert [answer(form, {}) for _ in rows] == [1, -1, -1]
    assert answer(form, None) == -1


def test_speed_ups_are_of_processor_time_at_one_thread():
    ours = Timing([0.1, 0.2], 1.0, [0.1, 0.1])
    theirs = Timing([0.4, 0.4], 1.0, [0.2, 0.2])
    by_processor = ours.summary(theirs, by_processor=True)
    assert by_processor['speed_up']['median'] == pytest.approx(2)
    by_wall = ours.summary(theirs, by_processor=False)
    assert by_wall['speed_up']['median'] == pytest.approx(3)
    assert by_wall['latency_ms'] == pytest.approx(150)
    assert 'speed_up' not in ours.summary(None, by_processor=False)


def test_forms_of_one_name_are_told_apart(folder):
    peers = ['a/x.py:1.pth', 'b/x.py:2.pth', 'x.py', 'x.py', 'y.py:1.pth']
    peers += ['x.py:c/2.pth', 'b/clip.pt2.py', 'x (2).py']
    file = str(folder / 'clip.pt2')
    entries = make_entries('c', 'w', [file, file], peers, False)
    assert [entry.name for entry in entries[2:]] == [
        *(file, f'{file} (2)'),
        *('x, 1', 'x, 2', 'x', 'x (2)', 'y', 'x, 2 (2)', 'clip.pt2'),
        'x (2) (2)',
    ]


def test_a_file_of_another_checkpoint_is_noted(folder, tmp_path):
    config, other = str(folder / 'clip.py'), tmp_path / 'other.pth'
    write_teacher(other, seed=5, config=recognizer())
    exported = [str(folder / 'clip.pt2')]
    lines = []
    run = dict(threads=(1, 2), rounds=1, memory=False, report=lines.append)
    for weights, noted in ((other, True), (folder / 'clip.pth', False)):
        entries = make_entries(config, str(weights), exported, bf16=False)
        results = run_deployed_benchmark(entries, tmp_path, **run)
        sources = [row.get('exported_from') for row in results['rows']]
        assert sources == [None, None, 'clip.pth' if noted else None]
        text = 'clip.pt2 was exported from clip.pth, whose hash'
        assert (text in markdown(results)) == noted
    text = 'clip.pt2: exported from clip.pth, whose hash'
    assert [line.startswith(text) for line in lines].count(True) == 1


def test_peers_of_one_config_get_their_own_accuracy(folder, tmp_path):
    config = str(folder / 'clip.py')
    for seed, name in enumerate('ab'):
        write_teacher(folder / f'{name}.pth', seed=seed, config=recognizer())
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    peers = [f'{config}:{folder / name}.pth' for name in 'ab']
    entries = make_entries(config, str(folder / 'clip.pth'), (), peers, False)
    rows = [dict(name=entry.name) for entry in entries]
    measure_answers(entries, rows, clips, 1, tmp_path, lambda line: None)
    for name, row in zip('ab', rows[2:], strict=True):
        predictor = load_checkpoint_predictor(
            config, str(folder / f'{name}.pth')
        )
        best = [
            int(p.scores.argmax()) for p in predict_clips(clips, predictor)
        ]
        right = sum(b == c.label for b, c in zip(best, clips, strict=True))
        assert row['name'] == f'clip, {name}'
        assert row['answers']['correct'] == right


def test_bfloat16_is_measured_where_the_processor_has_it():
    def names(sets):
        machine = dict(instruction_sets=sets)
        entries = make_entries('c', 'w', peers=['p.py:p.pth'], machine=machine)
        assert entries[-1].checkpoint == 'p.pth'
        return [entry.name for entry in entries]

    assert 'eager, bf16 autocast' not in names(['avx2'])
    assert 'eager, bf16 autocast' in names(['avx2', 'amx_bf16'])


@pytest.mark.parametrize(
    ('options', 'status', 'message'),
    [
        (['--rounds', '0'], 2, '--rounds 0; give 1 or more'),
        (['--threads', '1', '0'], 2, '--threads 0; give 1 or more'),
        (['--clips', '9'], 2, '--clips and --root need --list FILE'),
        (
            ['--no-memory', '--exported', 'absent.onnx'],
            1,
            'error: absent.onnx was not found',
        ),
        (
            ['--list', 'here/deployed.md', '--to', 'here'],
            1,
            'error: here/deployed.md is an input and would be overwritten',
        ),
    ],
)
def test_the_tool_rejects_wrong_options(folder, options, status, message):
    (folder / 'here').mkdir(exist_ok=True)
    (folder / 'here' / 'deployed.md').touch()
    words = [TOOL, 'clip.py', 'clip.pth', '--to', 'out', *options]
    done = run_script(*words, cwd=folder)
    assert done.returncode == status and message in done.stderr
    assert 'Traceback' not in done.stderr


def test_the_tool_writes_three_files(folder):
    words = ['clip.py', 'clip.pth', '--to', 'all', '--exported', 'clip.pt2']
    words += ['--list', 'clips/list.txt', '--clips', '2', '--threads', '1']
    words += ['--rounds', '2', '--no-memory', '--bf16', 'no']
    done = run_script(TOOL, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    text = (folder / 'all' / 'deployed.md').read_text()
    assert text in done.stdout + '\n' and '| clip.pt2 ' in text
    assert (folder / 'all' / 'deployed.png').stat().st_size > 5000
    results = json.loads((folder / 'all' / 'deployed.json').read_text())
    assert [row['answers']['clips'] for row in results['rows']] == [2, 2, 2]
