"""MMAction2's APIs and tools take this project's configs and checkpoints."""

import logging
import sys
from pathlib import Path

import cv2
import mmengine
import numpy as np
import pytest
import torch
from mmaction.apis import (
    MMAction2Inferencer,
    inference_recognizer,
    init_recognizer,
)
from mmaction.utils import GradCAM
from mmengine.dataset import Compose, pseudo_collate
from mmengine.runner.checkpoint import CheckpointLoader
from small_recipe import NUM_CLASSES, write_dataset, write_teacher

from dvfl_mmaction.checkpoints.safe_loading import load_from_local
from dvfl_mmaction.datasets.video_reader import VideoReader
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.run_tool import (
    find_script,
    main,
    parse_args,
    run_script,
    tool_names,
)

CONFIGS = Path(__file__).parents[2] / 'configs'
CONFIG = f"""
_base_ = '{CONFIGS}/vflnet_demo.py'
model = dict(
    backbone=dict(arch=dict(embed_dim=8, depths=(1, 1)), out_indices=(1,)),
    cls_head=dict(num_classes={NUM_CLASSES}, in_channels=16),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root='clips', ann_file='list.txt', data_prefix=dict(video='')
    ),
)
"""
CLIPS = [f'clips/clip_{label}_0.mp4' for label in range(NUM_CLASSES)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: clips, a config, weights, and a test's dump."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'clips', clips_per_class=1)
    (folder / 'config.py').write_text(CONFIG)
    config = mmengine.Config.fromfile(folder / 'config.py')
    write_teacher(folder / 'weights.pth', config=config.model)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run('test', 'config.py', 'weights.pth', '--dump', 'dump.pkl')
    return folder


@pytest.fixture(autouse=True)
def in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.fixture(scope='module')
def model(folder):
    return init_recognizer(
        str(folder / 'config.py'), str(folder / 'weights.pth'), device='cpu'
    )


@pytest.fixture(scope='module')
def scores(folder):
    """Scores of each clip in a test, (N, K)."""
    results = mmengine.load(folder / 'dump.pkl')
    scores = torch.stack([result['pred_score'] for result in results])
    assert scores.std(0).max() > 0.01  # clips are told apart
    return scores.numpy()


def run(tool, *arguments):
    run_script(find_script(tool), list(arguments))


def read_frames(path) -> np.ndarray:
    """All frames of a clip, (T, H, W, 3) RGB."""
    with VideoReader(path, None) as reader:
        return np.stack(reader.read(np.arange(reader.num_frames)))


def write_frames(path) -> str:
    """A folder of a clip's frames, without loss in spite of their names."""
    folder = Path(path).with_suffix('')
    folder.mkdir(exist_ok=True)
    for i, frame in enumerate(read_frames(path), 1):
        _, png = cv2.imencode('.png', frame[..., ::-1])
        (folder / f'img_{i:05}.jpg').write_bytes(png)
    return str(folder)


def describe(path) -> dict:
    """The input that MMAction2's data sets give."""
    return dict(filename=path, label=-1, start_index=0, modality='RGB')


@pytest.mark.parametrize('convert', [str, describe])
def test_inference_recognizer_gives_the_scores_of_a_test(
    model, scores, convert
):
    got = [inference_recognizer(model, convert(c)).pred_score for c in CLIPS]
    np.testing.assert_allclose(np.stack(got), scores, atol=1e-5)


@pytest.mark.parametrize(
    ('form', 'convert'),
    [('video', str), ('array', read_frames), ('rawframes', write_frames)],
)
def test_the_inferencer_gives_the_scores_of_a_test(scores, form, convert):
    inferencer = MMAction2Inferencer(
        rec='config.py',
        rec_weights='weights.pth',
        device='cpu',
        input_format=form,
    )
    found = inferencer([convert(clip) for clip in CLIPS], batch_size=2)
    got = [clip['rec_scores'][0] for clip in found['predictions']]
    np.testing.assert_allclose(got, scores, atol=1e-5)


def test_the_pipelines_take_the_windows_of_mmactions_demos(model):
    """long_video_demo.py puts ArrayDecode second; webcam_demo.py does not."""
    clip = CLIPS[1]
    pipeline = Compose(model.cfg.test_pipeline)
    wanted = inference_recognizer(model, clip, pipeline).pred_score
    chosen = pipeline.transforms[1](
        dict(total_frames=len(read_frames(clip)), start_index=0)
    )['frame_inds']
    window = list(read_frames(clip)[chosen])
    data = dict(
        modality='RGB',
        label=-1,
        img_shape=window[0].shape[:2],
        num_clips=1,
        clip_len=8,
    )
    steps = list(model.cfg.test_pipeline)
    del steps[1]
    webcam = inference_recognizer(
        model, dict(data, imgs=window), Compose(steps)
    )
    steps.insert(1, dict(type='ArrayDecode'))
    long_video = inference_recognizer(
        model,
        dict(data, array=window, frame_inds=np.arange(8)),
        Compose(steps),
    )
    for got in (webcam, long_video):
        torch.testing.assert_close(got.pred_score, wanted)


def test_the_confusion_matrix_counts_the_predictions(scores, monkeypatch):
    # The tool calls it; it would close the log files of other tests.
    monkeypatch.setattr(logging, 'shutdown', lambda: None)
    run('confusion_matrix', 'config.py', 'dump.pkl', '--out', 'cm.pkl')
    run('confusion_matrix', 'config.py', 'weights.pth', '--out', 'cm2.pkl')
    wanted = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64)
    for label, predicted in enumerate(scores.argmax(1)):
        wanted[label, predicted] += 1
    for name in ('cm.pkl', 'cm2.pkl'):
        assert torch.equal(mmengine.load(name), wanted)


def test_report_accuracy_and_eval_metric_agree(scores, capsys):
    top1 = (scores.argmax(1) == np.arange(NUM_CLASSES)).mean()
    run('report_accuracy', '--preds', 'dump.pkl', '--coefficients', '1')
    assert f'Top 1 Accuracy: {top1:.04f}' in capsys.readouterr().out
    run('eval_metric', 'config.py', 'dump.pkl')
    assert f"'acc/top1': {top1}" in capsys.readouterr().out


def test_vis_cam_takes_the_backbone_as_its_layer(model, capsys):
    run(
        'visualizations/vis_cam.py',
        *('config.py', 'weights.pth', CLIPS[0], '--device', 'cpu'),
        *('--target-layer-name', 'backbone'),
    )
    data = Compose(model.cfg.test_pipeline)(describe(CLIPS[0]))
    camera = GradCAM(init_recognizer(model.cfg, device='cpu'), 'backbone')
    camera.model.load_state_dict(model.state_dict())
    heat, _ = camera._calculate_localization_map(pseudo_collate([data]), False)
    assert heat.shape == (1, 8, 32, 32)
    assert (heat.min(), heat.max()) == (0, 1)


def test_a_published_checkpoint_loads(model):
    run('publish_model', 'weights.pth', 'published.pth')
    (path,) = Path().glob('published_*-*.pth')
    published = init_recognizer('config.py', str(path), device='cpu')
    for name, weight in published.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])


def test_a_script_of_ones_own_runs_as_python_runs_it(tmp_path, capsys):
    (tmp_path / 'neighbour.py').write_text('NAME = "neighbour"\n')
    script = tmp_path / 'script.py'
    script.write_text(
        'import sys\n'
        'from neighbour import NAME\n'
        'from mmengine.runner.checkpoint import CheckpointLoader\n'
        'load = CheckpointLoader._schemes[""]\n'
        'print(__name__, NAME, sys.argv[1:], load.__module__)\n'
    )
    before = sys.argv, sys.path[:]
    run(str(script), '--lr', '1')
    assert capsys.readouterr().out.split('\n')[0] == (
        f"__main__ neighbour ['--lr', '1'] {load_from_local.__module__}"
    )
    assert (sys.argv, sys.path) == before
    assert CheckpointLoader._schemes[''] is not load_from_local


@pytest.mark.parametrize(
    ('code', 'error'),
    [
        ('import no_such_module.part', 'pip install no_such_module'),
        (
            'import mmengine.no_such_part',
            'mmengine.no_such_part, which the installed mmengine lacks; inst',
        ),
        (
            'try:\n    import moviepyx\n'
            'except ImportError:\n    raise ImportError("Please install")',
            'script.py needs moviepyx; run: pip install moviepyx',
        ),
        ('open("absent.pkl")', "script.py needs a file: .*'absent.pkl'"),
        ('n = 0\nassert n > 0', 'stopped at its line 2: assert n > 0'),
        ('assert False, "give n"', 'stopped at its line 1: give n'),
        (
            'raise ModuleNotFoundError(name="moviepy.editor")',
            "needs moviepy.editor; run: pip install 'moviepy<2'",
        ),
    ],
)
def test_what_a_script_lacks_is_one_line(tmp_path, code, error):
    script = tmp_path / 'script.py'
    script.write_text(code)
    with pytest.raises(UserError, match=error):
        run(str(script))


@pytest.mark.parametrize(
    ('tool', 'error'),
    [
        ('confusion', "did you mean 'confusion_matrix'"),
        ('demo/demo.py', 'give the path of a script, or one of analyze_logs'),
        ('/gone/demo.py', '/gone/demo.py is neither a script nor a tool'),
        ('~/gone/demo.py', 'gone/demo.py is neither a script nor a tool'),
        ('download', 'one of several tools; give one: data/'),
    ],
)
def test_an_unknown_tool_is_a_users_error(tool, error):
    with pytest.raises(UserError, match=error):
        find_script(tool)


def test_a_fault_of_another_file_keeps_its_traceback(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text('from numpy.testing import assert_equal as f\nf(1, 2)')
    with pytest.raises(AssertionError, match='Items are not equal'):
        run(str(script))


def test_tools_are_listed_by_name_without_those_that_fetch_data():
    names = tool_names()
    assert names == sorted(names) and {'train', 'vis_cam'} < {*names}
    assert not {'download', 'build_rawframes'} & {*names}
    for name in names:
        assert find_script(name).stem == name


def test_only_a_script_hides_a_tool_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('train', 'test.py'):
        Path(name).touch()
    assert find_script('train').parent.name == 'tools'
    assert find_script('test.py') == tmp_path / 'test.py'


def test_options_go_to_the_tool():
    args = parse_args(['vis_cam', '--help', '--device', 'cpu'])
    assert (args.tool, args.arguments[0]) == ('vis_cam', '--help')


def test_the_command_prints_an_error_in_one_line(monkeypatch, capsys):
    words = ['run_tool', 'eval_metric', 'absent.py', 'dump.pkl']
    monkeypatch.setattr(sys, 'argv', words)
    monkeypatch.setattr(sys, 'excepthook', sys.__excepthook__)
    with pytest.raises(UserError) as caught:
        main()
    sys.excepthook(caught.type, caught.value, caught.tb)
    assert capsys.readouterr().err == (
        '\nerror: eval_metric.py needs a file: [Errno 2] No such file or '
        "directory: 'absent.py'\n\n"
    )
