"""The README and docs: links, anchors, length and marked commands."""

import re
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules
from mmengine.config import Config

import dvfl_mmaction  # noqa: F401

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


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


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_and_anchors_exist(page):
    assert not find_dead_links(page)


def test_dead_links_and_anchors_are_found(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('# One two\n[a](#one-two) [b](#three) [c](no.md)\n')
    assert find_dead_links(page) == ['#three', 'no.md']


def test_readme_has_at_most_170_lines():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 170


@pytest.mark.parametrize('base', ['mmaction::', 'configs/'])
def test_configs_of_the_readme_build(base, tmp_path):
    readme = (ROOT / 'README.md').read_text()
    (snippet,) = re.findall(
        rf"^```python\n(_base_ = '{base}.*?)^```", readme, flags=re.M | re.S
    )
    snippet = snippet.replace("'configs/", f"'{ROOT}/configs/")
    (tmp_path / 'mine.py').write_text(snippet)
    config = Config.fromfile(tmp_path / 'mine.py')
    if base == 'configs/':
        assert config.model.cls_head.num_classes == 10
        return
    register_all_modules()
    model = MODELS.build(config.model)
    features = model.backbone(torch.zeros(1, 3, 2, 32, 32))
    assert model.cls_head(features).shape == (1, 400)
