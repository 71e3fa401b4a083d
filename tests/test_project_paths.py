"""Configs, tools and commands are found from the current folder."""

import shutil
from pathlib import Path

import pytest

from dvfl_mmaction import UserError, project_paths
from dvfl_mmaction.project_paths import (
    copy_project,
    find_config,
    find_configs,
    localize_command,
)

COMMAND = 'python tools/x.py data/x, or mim train mmaction2 configs/y.py'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The path of a package outside a checkout."""
    package = tmp_path / 'site' / 'dvfl_mmaction'
    monkeypatch.setattr(project_paths, 'PACKAGE', package)
    roots = (Path(), package.parent, package / '.mim')
    monkeypatch.setattr(project_paths, 'ROOTS', roots)
    monkeypatch.chdir(tmp_path)
    return package


def put_project(root):
    for name in ('tools/x.py', 'configs/y.py', 'configs/_base_/z.py'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_in_the_checkout_a_command_is_unchanged(installed):
    put_project(Path())
    assert localize_command(COMMAND) == COMMAND


def test_outside_a_checkout_its_path_is_inserted(installed):
    put_project(installed.parent)
    root = installed.parent
    assert localize_command(COMMAND) == (
        f'python {root}/tools/x.py data/x, or mim train mmaction2 '
        f'{root}/configs/y.py'
    )


def test_mim_runs_the_tools_of_a_wheel(installed):
    put_project(installed / '.mim')
    assert localize_command(COMMAND) == (
        'mim run dvfl_mmaction x data/x, or mim train mmaction2 '
        f'{installed}/.mim/configs/y.py'
    )


def test_paths_outside_the_project_are_unchanged(installed):
    for command in (COMMAND, 'python mine.py', 'mim train my/configs/y.py'):
        assert localize_command(command) == command
    put_project(installed.parent)
    for command in ('mypython tools/x.py', 'mim train my/configs/y.py'):
        assert localize_command(command) == command


def test_a_config_is_looked_up_in_the_current_folder_first(installed):
    put_project(installed / '.mim')
    assert find_config('configs/y.py') == installed / '.mim/configs/y.py'
    assert find_configs() == [installed / '.mim/configs/y.py']
    # A folder of that name without bases is another project's.
    Path('configs').mkdir()
    Path('configs/theirs.py').touch()
    assert find_configs() == [installed / '.mim/configs/y.py']
    Path('configs/theirs.py').unlink()
    put_project(Path())
    Path('configs/recipes').mkdir()
    Path('configs/recipes/of_another_folder.py').touch()
    assert find_config('configs/y.py') == Path('configs/y.py')
    assert find_configs() == [Path('configs/y.py')]


def test_a_missing_config_is_named_with_its_option(installed):
    with pytest.raises(UserError, match='^teacher.config gone.py was not '):
        find_config('gone.py')
    with pytest.raises(UserError, match='^CONFIG gone.py was not found'):
        find_config('gone.py', 'CONFIG')
    assert find_configs() == []


def test_the_configs_and_tools_of_a_wheel_are_copied(installed):
    put_project(installed / '.mim')
    (installed / '.mim/tools/__pycache__').mkdir()
    (installed / '.mim/tools/.hidden').touch()
    (installed / '.mim/tools/x.sh').touch()
    assert copy_project(Path()) == [Path('configs'), Path('tools')]
    assert Path('configs/_base_/z.py').is_file()
    assert sorted(Path('tools').iterdir()) == [Path('tools/x.py')]
    assert localize_command(COMMAND) == COMMAND
    with pytest.raises(UserError, match='^configs exists already'):
        copy_project(Path())


def test_nothing_is_copied_beside_a_folder_that_exists(installed):
    put_project(installed.parent)
    Path('tools').mkdir()
    with pytest.raises(UserError, match='^tools exists already'):
        copy_project(Path())
    assert not Path('configs').exists()


def test_a_folder_that_cannot_be_written_is_one_line(installed):
    put_project(installed.parent)
    Path('file').touch()
    with pytest.raises(UserError, match='^file cannot be written: Not a dir'):
        copy_project(Path('file'))


@pytest.mark.parametrize('failing', ['y.py', 'x.py'])
def test_a_copy_that_fails_leaves_nothing(installed, monkeypatch, failing):
    put_project(installed.parent)

    def copy(source, target, **_):
        target.mkdir(parents=True)
        if (source / failing).is_file():
            raise shutil.Error([(source, target, 'No space left on device')])

    monkeypatch.setattr(shutil, 'copytree', copy)
    with pytest.raises(UserError, match='cannot be written: .*No space left'):
        copy_project(Path('new'))
    assert not list(Path('new').iterdir())


def test_a_copy_that_is_stopped_leaves_nothing(installed, monkeypatch):
    put_project(installed.parent)

    def stop(source, target, **_):
        target.mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, 'copytree', stop)
    with pytest.raises(KeyboardInterrupt):
        copy_project(Path('new'))
    assert not list(Path('new').iterdir())
