"""What the parsers of the tools say, and what they refuse."""

import argparse
import runpy
import sys
from pathlib import Path

import pytest
from documented_commands import Parsed

from dvfl_mmaction import UserError

TOOLS = Path(__file__).parents[2] / 'tools'
CONFIG = 'configs/vflnet_kd_ucf101.py'
EXPORT = f'{CONFIG} model.pth model.onnx --to onnx'
STREAM = 'video.mp4 --model model.onnx'
MODEL = f'{CONFIG} model.pth'
PREPARE = 'ucf101 --root data --check'


every_tool = pytest.mark.parametrize(
    'path', sorted(TOOLS.glob('*.py')), ids=lambda path: path.stem
)


@every_tool
def test_every_option_says_what_it_does_and_its_default(path, monkeypatch):
    parsers = []

    def stop(parser, *_):
        parsers.append(parser)
        raise Parsed

    for name in ('parse_args', 'parse_intermixed_args'):
        monkeypatch.setattr(argparse.ArgumentParser, name, stop)
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    with pytest.raises(Parsed):
        runpy.run_path(str(path), run_name='__main__')
    (parser,) = parsers
    lacking = [
        action.dest
        for action in parser._actions
        if (action.help or 'default').startswith('default')
        or (action.default not in (None, False, [], argparse.SUPPRESS, ''))
        and 'default: ' not in action.help
    ]
    assert not lacking


@pytest.mark.parametrize(
    ('tool', 'words', 'message'),
    [
        ('ablate', '--report out --alpha 0.3', '--alpha needs a config in'),
        ('ablate', '--report out --dry-run', '--dry-run needs a config in'),
        (
            'ablate',
            f'{CONFIG} --out out --cluster slurm',
            '--cluster needs --launcher submitit',
        ),
        (
            'ablate',
            f'{CONFIG} --out out --submitit timeout_min=9',
            '--submitit needs --launcher submitit',
        ),
        (
            'ablate',
            f'{CONFIG} --out out --launcher submitit --submitit timeout_min',
            '--submitit timeout_min; give KEY=VALUE',
        ),
        ('ablate', f'{CONFIG} --out out --epochs 0', '--epochs 0; give 1 or'),
        ('ablate', f'{CONFIG} --out out --seeds -1', '--seeds -1; give 0 or'),
        (
            'ablate',
            f'{CONFIG} --out out --alpha 1 1.5',
            '--alpha 1.5; give 0 to 1',
        ),
        (
            'ablate',
            f'{CONFIG} --out out --alpha -0.5',
            '--alpha -0.5; give 0 to 1',
        ),
        (
            'ablate',
            f'{CONFIG} --out out --temperature 4 0',
            '--temperature 0; give more than 0',
        ),
        ('benchmark', '--to out --dataset kinetics', "choice: 'kinetics'"),
        (
            'export',
            f'{EXPORT} --calibration-clips 9',
            '--calibration-clips needs --precision int8',
        ),
        (
            'export',
            f'{EXPORT} --max-drop 1',
            '--max-drop needs --precision int8',
        ),
        (
            'export',
            f'{EXPORT} --workers 99',
            '--workers needs --precision int8',
        ),
        (
            'export',
            f'{EXPORT} --precision int8 --max-drop nan',
            '--max-drop nan; give 0 or more points',
        ),
        (
            'benchmark_deployed',
            f'{CONFIG} a.pth --to out --clips 9',
            '--clips and --root need --list FILE',
        ),
        ('prepare_dataset', f'{PREPARE} --timeout 0', 'give more than 0 sec'),
        (
            'prepare_dataset',
            f'{PREPARE} --workers 2 --scheduler tcp://host:1',
            'give --workers or --scheduler, not both',
        ),
        (
            'prepare_dataset',
            'ucf101 --root data --scheduler tcp://host:1',
            '--scheduler needs --check or --pack',
        ),
        (
            'prepare_dataset',
            f'{PREPARE} --folds 2',
            '--folds is for custom; ucf101 has official splits',
        ),
        (
            'prepare_dataset',
            'custom --root data --check --labels-per-class 3',
            '--labels-per-class needs --folds',
        ),
        ('web_demo', f'{MODEL} --port 65536', '--port 65536; give 1 to 65535'),
        ('web_demo', f'{MODEL} --max-mb 0', '--max-mb 0.0; give more than 0'),
        ('web_demo', f'{MODEL} --max-seconds nan', '--max-seconds nan; give'),
        ('web_demo', f'{MODEL} --jobs -1', '--jobs -1; give more than 0'),
        ('stream', f'{STREAM} --enter 0 --leave 0', '--enter 0 --leave 0; g'),
        ('stream', f'{STREAM} --timeout 0', '--timeout 0; give more than 0'),
        (
            'stream',
            f'video.mp4 --config {CONFIG}',
            'give --config and --checkpoint, or --model',
        ),
        ('record_teacher', f'{CONFIG} --to rec --top-k 0', '--top-k 0; give'),
        ('stream', f'{STREAM} --smooth 2', '--smooth needs --to FILE'),
        ('stream', f'{STREAM} --min-length 2', '--min-length needs --to FILE'),
        (
            'predict',
            f'{CONFIG} a.pth clips/ --root data',
            '--root needs a list of clips (.txt)',
        ),
        (
            'visualize_modulation',
            f'{CONFIG} a.pth a.mp4 --root data',
            '--root needs a list of clips (.txt)',
        ),
        (
            'predict',
            f'{CONFIG} a.pth --cfg-options clip_len=16 video.mp4',
            'argument --cfg-options: video.mp4 is not KEY=VALUE; give such',
        ),
    ],
)
def test_what_fails_later_or_does_nothing_is_refused(
    tool, words, message, monkeypatch, capsys
):
    with pytest.raises(SystemExit, match='2'):
        parsed(tool, words, monkeypatch)
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ('tool', 'words', 'work'),
    [
        ('benchmark', '--to', 'analysis.benchmark.run_benchmark'),
        (
            'benchmark_deployed',
            f'{MODEL} --to',
            'analysis.deployed_benchmark.run_deployed_benchmark',
        ),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tool, words, work, tmp_path, monkeypatch
):
    (tmp_path / 'file').touch()
    words = f'{words} {tmp_path / "file"}'
    monkeypatch.setattr(sys, 'argv', [tool, *words.split()])
    monkeypatch.setattr(f'dvfl_mmaction.{work}', pytest.fail)
    entries = 'dvfl_mmaction.analysis.deployed_entries.make_entries'
    monkeypatch.setattr(entries, lambda *_: [])
    main = runpy.run_path(str(TOOLS / f'{tool}.py'))['main']
    with pytest.raises(UserError, match='file/.*json cannot be written'):
        main()


def parsed(tool, words, monkeypatch):
    """The arguments as a tool parses them."""
    monkeypatch.setattr(sys, 'argv', [tool, *words.split()])
    return runpy.run_path(str(TOOLS / f'{tool}.py'))['parse_args']()


@pytest.mark.parametrize(
    ('tool', 'words'),
    [
        ('ablate', '--report out --compare 1 2 --pool folds --out new'),
        ('ablate', f'{CONFIG} --out out --alpha 0 1 --temperature 0.5'),
        ('predict', 'hf://me/small a.mp4 LIST.TXT --root data'),
        ('export', f'{EXPORT} --precision int8 --max-drop 1 --workers 0'),
        ('stream', f'{STREAM} --to a.json --smooth 0 --enter 1 --leave 0'),
    ],
)
def test_what_is_read_is_taken(tool, words, monkeypatch):
    assert parsed(tool, words, monkeypatch)


@pytest.mark.parametrize(
    ('words', 'out'),
    [
        ('', 'modulation'),
        ('--focus f.json', None),
        ('--focus f.json --gif', 'modulation'),
        ('--focus f.json --video', 'modulation'),
        ('--focus f.json --out maps', 'maps'),
    ],
)
def test_pictures_are_drawn_unless_only_the_focus_is_asked_for(
    words, out, monkeypatch
):
    words = f'{MODEL} clips {words}'
    args = parsed('visualize_modulation', words, monkeypatch)
    assert args.out == (out and Path(out))


@pytest.mark.parametrize(
    ('words', 'model', 'videos'),
    [
        ('c.py a.pth x.mp4 y.mp4', ('c.py', 'a.pth'), ['x.mp4', 'y.mp4']),
        ('hf://me/small x.mp4 y.mp4', ('hf://me/small',), ['x.mp4', 'y.mp4']),
        ('m.onnx x.mp4 y.mp4', ('m.onnx',), ['x.mp4', 'y.mp4']),
        ('folder x.mp4 y.mp4', ('folder',), ['x.mp4', 'y.mp4']),
        ('absent x.mp4', ('absent',), ['x.mp4']),
    ],
)
def test_a_model_is_one_word_or_a_config_and_its_weights(
    words, model, videos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path('folder').mkdir()
    args = parsed('predict', words, monkeypatch)
    assert (args.config, args.checkpoint) == (*model, None)[:2]
    assert args.videos == videos
