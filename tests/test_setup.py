"""The source distribution has all files that users and packagers need."""

import subprocess
import sys
from pathlib import Path

import pytest
from setuptools.command.egg_info import FileList

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def listed(tmp_path_factory):
    """Paths that setuptools puts into the source distribution."""
    folder = tmp_path_factory.mktemp('egg_info')
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'egg_info', '-e', folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (sources,) = folder.glob('*.egg-info/SOURCES.txt')
    return sources.read_text().splitlines()


@pytest.mark.parametrize(
    ('folder', 'kinds'),
    [
        ('configs', {'.py', '.yml', '.md'}),
        ('docs', {'.md', '.json', '.png'}),
        ('dvfl_mmaction', {'.py'}),
        ('requirements', {'.txt'}),
        ('tests', {'.py', '.json', '.npz'}),
        ('tools', {'.py', '.sh'}),
    ],
)
def test_the_sdist_has_every_file_of_a_folder(listed, folder, kinds):
    files = [
        path
        for path in (ROOT / folder).rglob('*')
        if path.is_file() and not {'__pycache__', '.mim'} & {*path.parts}
    ]
    assert kinds <= {path.suffix for path in files}
    assert not {str(path.relative_to(ROOT)) for path in files} - set(listed)


def test_the_sdist_has_the_files_of_the_root_and_no_caches(listed):
    for name in ('CHANGELOG.md', 'LICENSE', 'README.md', 'model-index.yml'):
        assert name in listed
    assert 'pyproject.toml' in listed
    assert not [name for name in listed if name.endswith(('.pyc', '.pyo'))]


def test_a_wheel_has_the_configs_and_python_tools_for_mim(tmp_path):
    words = ['egg_info', '-e', tmp_path, 'build_py', '-d', tmp_path / 'lib']
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    resources = tmp_path / 'lib' / 'dvfl_mmaction' / '.mim'
    built = {
        str(path.relative_to(resources))
        for path in resources.rglob('*')
        if path.is_file()
    }
    wanted = {
        str(path.relative_to(ROOT))
        for folder in ('configs', 'tools')
        for path in (ROOT / folder).rglob('*')
        if path.suffix in ('.py', '.yml', '.md')
    }
    # The shell scripts need a checkout.
    assert built == wanted | {'model-index.yml'}


def test_figures_and_measurements_of_the_docs_are_included(
    tmp_path, monkeypatch
):
    names = {'docs/a.png', 'docs/b.svg', 'docs/c.json', 'docs/d/e.json'}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    files = FileList()
    for line in (ROOT / 'MANIFEST.in').read_text().splitlines():
        files.process_template_line(line)
    assert names == set(files.files)


def test_the_tests_extra_includes_the_export_extra(tmp_path):
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'egg_info', '-e', tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob('*.egg-info/requires.txt')
    extras = {}
    for line in path.read_text().splitlines():
        if line.startswith('['):
            extras[line.strip('[]')] = found = []
        elif line and extras:
            found.append(line)
    assert any(line.startswith('openvino') for line in extras['export'])
    assert set(extras['export']) < set(extras['tests'])
