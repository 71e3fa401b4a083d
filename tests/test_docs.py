"""The README and docs: links, commands and Python snippets."""

import importlib
import re
import sys

import pytest
import torch
from documented_commands import (
    PAGES,
    ROOT,
    RUN_ELSEWHERE,
    Command,
    build_config,
    find_commands,
    find_problem,
    find_snippets,
)
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules
from mmengine.config import Config
from project_configs import LOADERS, read_sample
from small_recipe import NUM_CLASSES, distiller, write_clip, write_teacher

from dvfl_mmaction.distillation import distill_recognizer
from dvfl_mmaction.engine.options import apply_options

every_page = pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)


@pytest.fixture(scope='module')
def all_snippets():
    """Python blocks of all pages."""
    return [s for page in PAGES for s in find_snippets(page.read_text())]


@pytest.fixture
def teachers(monkeypatch):
    """A copy of the table of teachers, which a snippet may extend."""
    table = dict(distill_recognizer.TEACHERS)
    monkeypatch.setattr(distill_recognizer, 'TEACHERS', table)
    return table


def get_anchors(text):
    """Anchors that GitHub gives the headings of a page."""
    text = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
    return {
        re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        for heading in re.findall(r'^#+ (.+)$', text, flags=re.M)
    }


def find_dead_links(page):
    """Relative links of a page whose file or anchor does not exist."""
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.M | re.S)
    dead = []
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        if re.match(r'[a-z]+:', link):
            continue
        name, _, anchor = link.partition('#')
        target = page.parent / name if name else page
        if not target.exists() or (
            anchor and anchor not in get_anchors(target.read_text())
        ):
            dead.append(link)
    return dead


@every_page
def test_links_and_anchors_exist(page):
    assert not find_dead_links(page)


def test_dead_links_and_anchors_are_found(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('# One two\n[a](#one-two) [b](#three) [c](no.md)\n')
    assert find_dead_links(page) == ['#three', 'no.md']


def test_readme_has_at_most_170_lines():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 170


@every_page
def test_every_command_is_tested_or_says_what_it_needs(
    page, all_snippets, tmp_path
):
    snippets = find_snippets(page.read_text()) + all_snippets
    problems = {
        str(command): problem
        for command in find_commands(page.read_text())
        if (problem := find_problem(command, snippets, tmp_path))
    }
    assert not problems


@every_page
def test_every_fence_is_of_a_language_that_is_checked(page):
    fences = re.findall(r'^ *```.*', page.read_text(), re.M)
    assert set(fences[::2]) <= {
        f'```{language}' for language in ('bash', 'python', 'text', 'bibtex')
    }
    assert set(fences[1::2]) <= {'```'}


@pytest.mark.parametrize('command', RUN_ELSEWHERE)
def test_commands_are_run_where_the_table_says(command):
    file, content = RUN_ELSEWHERE[command]
    assert content in (ROOT / file).read_text()


def test_commands_of_a_page_are_found():
    page = """
```bash
# needs a file
python a.py 'x y' \\
    --to b  # a comment
source c && e f
```
```bash
for i in 0 1; do
    mim $i
done
```
"""
    assert find_commands(page) == [
        Command(['python', 'a.py', 'x y', '--to', 'b'], True),
        Command(['e', 'f'], True),
        Command(['mim', '$i'], False),
    ]


TRAIN = 'mim train mmaction2 configs/vflnet_kd_ucf101.py'


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('echo hello', 'not tested'),
        ('python tools/absent.py', 'FileNotFoundError'),
        ('python setup.py', 'not tested'),
        ('python tools/prepare_dataset.py ucf101', 'SystemExit: 2'),
        ('python tools/convert_checkpoint.py one.pth', 'SystemExit: 2'),
        ('python tests/benchmarks/operator.py --no', 'SystemExit: 2'),
        ('python -m dvfl_mmaction.run_tool vis_cm', 'UserError'),
        ('python -m dvfl_mmaction.run_tool eval_metric a', 'SystemExit: 2'),
        ('mim train mmaction2 absent.py', 'FileNotFoundError'),
        ('mim test mmaction2 configs/vflnet_ucf101.py --no', 'SystemExit: 2'),
        (f'{TRAIN} --cfg-options train_cgf=1', 'KeyError'),
        (f'{TRAIN} --cfg-options randomness.sed=1', 'KeyError'),
        (f'{TRAIN} --cfg-options train_cfg.max_epoch=1', 'KeyError'),
        (f'{TRAIN} --cfg-options model.alfa=1', 'TypeError'),
        (f'{TRAIN} --cfg-options model.teacher.pth=a', 'UserError'),
    ],
)
def test_a_wrong_command_is_found(text, problem, tmp_path):
    command = Command(text.split(), False)
    assert find_problem(command, [], tmp_path).startswith(problem)


@every_page
def test_python_snippets_run_or_build(page, tmp_path, monkeypatch, teachers):
    """In order, each in a folder of its own, on the path of the next."""
    register_all_modules()
    for number, snippet in enumerate(find_snippets(page.read_text())):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = snippet.write(folder)
        if snippet.is_config:
            build_config(Config.fromfile(path))
        else:
            monkeypatch.syspath_prepend(folder)
            monkeypatch.delitem(sys.modules, path.stem, raising=False)
            importlib.import_module(path.stem)


def test_the_backbone_fits_another_recipe(tmp_path):
    (snippet,) = (
        s
        for s in find_snippets((ROOT / 'README.md').read_text())
        if "_base_ = 'mmaction::" in s.code
    )
    register_all_modules()
    model = MODELS.build(Config.fromfile(snippet.write(tmp_path)).model)
    features = model.backbone(torch.zeros(1, 3, 2, 32, 32))
    assert model.cls_head(features).shape == (1, 400)


def test_the_readmes_own_data_have_10_classes(tmp_path):
    (snippet,) = (
        s
        for s in find_snippets((ROOT / 'README.md').read_text())
        if "_base_ = 'configs/" in s.code
    )
    config = Config.fromfile(snippet.write(tmp_path))
    assert config.model.cls_head.num_classes == 10


def test_smaller_pictures_have_112_pixels(tmp_path):
    snippets = find_snippets((ROOT / 'docs/own_data.md').read_text())
    smaller = [s for s in snippets if 'clip_size = 112' in s.code]
    assert [s.name for s in smaller] == [
        'videofocalnet_mine.py',
        'vflnet_kd_mine.py',
    ]
    write_clip(tmp_path / 'clip.mp4', 0)
    (tmp_path / 'list.txt').write_text('clip.mp4 0\n')
    for snippet in smaller:
        config = Config.fromfile(snippet.write(tmp_path))
        apply_options(config)
        assert config.param_scheduler[1].end == 30
        for loader in LOADERS:
            config[loader].dataset.data_prefix = dict(video='')
            sample = read_sample(config, loader, tmp_path)
            assert sample['inputs'].shape == (1, 3, 8, 112, 112)


def test_the_documented_teacher_averages_two(tmp_path, monkeypatch, teachers):
    (snippet,) = (
        s
        for s in find_snippets((ROOT / 'docs/distillation.md').read_text())
        if 'class MeanTeacher' in s.code
    )
    snippet.write(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'mean_teacher', raising=False)
    importlib.import_module('mean_teacher')
    first, second = (
        write_teacher(tmp_path / f'{seed}.pth', seed) for seed in (1, 2)
    )
    model = MODELS.build(
        distiller(dict(type='MeanTeacher', first=first, second=second))
    )
    model.init_weights()
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    a, b = (member.predict(clips) for member in model.teacher.members)
    assert a.shape == (2, NUM_CLASSES) and not torch.allclose(a, b)
    torch.testing.assert_close(model.teacher.logits(clips), (a + b) / 2)
