"""Everything that the page on the papers names exists."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'papers.md'


def find_names(text: str) -> list[str]:
    """What stands between backticks outside of fenced blocks."""
    text = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
    return re.findall(r'`([^`]+)`', text)


def resolve(name: str):
    """The object ``module:name``, or the files of a path or pattern.

    Raises:
        ImportError, AttributeError, FileNotFoundError: If there is none.
    """
    module, colon, attributes = name.partition(':')
    if colon:
        found = importlib.import_module(module)
        for attribute in attributes.split('.'):
            found = getattr(found, attribute)
        return found
    files = [path for path in ROOT.glob(name) if path.is_file()]
    if not files:
        raise FileNotFoundError(name)
    return files


@pytest.mark.parametrize('name', sorted({*find_names(PAGE.read_text())}))
def test_what_the_page_names_exists(name):
    assert resolve(name)


@pytest.mark.parametrize(
    ('name', 'error'),
    [
        ('tools/absent.py', FileNotFoundError),
        ('tools', FileNotFoundError),
        ('configs/absent_*.py', FileNotFoundError),
        ('dvfl_mmaction.absent:Absent', ImportError),
        ('dvfl_mmaction.models.focal_modulation:absent', AttributeError),
        (
            'dvfl_mmaction.models.focal_modulation:FocalModulation.absent',
            AttributeError,
        ),
        ('alpha', FileNotFoundError),
    ],
)
def test_a_wrong_name_is_found(name, error):
    with pytest.raises(error):
        resolve(name)


def test_every_row_names_something_or_says_why_not():
    """Each row has a function, a path or a link, or what is missing."""
    rows = re.findall(r'^\| (?!---)(.+) \| (.+) \|$', PAGE.read_text(), re.M)
    rows = [(paper, here) for paper, here in rows if here != 'here']
    assert len(rows) > 20
    reason = r'[Nn]ot (reproduced|built): \w+|the same table'
    assert not [
        paper
        for paper, here in rows
        if not find_names(here) and not re.search(reason, here)
    ]
