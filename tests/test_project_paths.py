"""Commands are told as they can be typed where the user is."""

from pathlib import Path

import pytest

from dvfl_mmaction import project_paths
from dvfl_mmaction.project_paths import as_typed_here

COMMAND = 'python tools/x.py data/x, or mim train mmaction2 configs/y.py'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with its resources, in a folder that is not the checkout."""
    package = tmp_path / 'site' / 'dvfl_mmaction'
    monkeypatch.setattr(project_paths, 'PACKAGE', package)
    roots = (Path(), package.parent, package / '.mim')
    monkeypatch.setattr(project_paths, 'ROOTS', roots)
    monkeypatch.chdir(tmp_path)
    return package


def put_project(root):
    for name in ('tools/x.py', 'configs/y.py'):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()


def test_in_the_checkout_a_command_stays_as_it_is(installed):
    put_project(Path())
    assert as_typed_here(COMMAND) == COMMAND


def test_beside_a_checkout_its_path_is_given(installed):
    put_project(installed.parent)
    root = installed.parent
    assert as_typed_here(COMMAND) == (
        f'python {root}/tools/x.py data/x, or mim train mmaction2 '
        f'{root}/configs/y.py'
    )


def test_with_a_wheel_mim_runs_the_tool(installed):
    put_project(installed / '.mim')
    assert as_typed_here(COMMAND) == (
        'mim run dvfl_mmaction x data/x, or mim train mmaction2 '
        f'{installed}/.mim/configs/y.py'
    )


def test_what_is_not_of_the_project_stays(installed):
    for command in (COMMAND, 'python mine.py', 'mim train my/configs/y.py'):
        assert as_typed_here(command) == command
