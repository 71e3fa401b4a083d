"""The model zoo lists what there is, and goes along with the package."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from modelindex.load_model_index import load

ROOT = Path(__file__).parents[1]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
METAFILES = [
    yaml.safe_load((ROOT / name).read_text()) for name in INDEX['Import']
]
MODELS = [model for metafile in METAFILES for model in metafile['Models']]


def test_every_config_of_the_papers_is_listed_once():
    listed = sorted(m['Config'] for m in MODELS if 'Config' in m)
    assert listed == sorted(
        f'configs/{path.name}'
        for path in (ROOT / 'configs').glob('*.py')
        if not path.stem.endswith('_demo')
    )
    for model in MODELS:
        assert model.get('Config', model['Name']) in (
            model['Name'],
            f'configs/{model["Name"]}.py',
        )


def test_the_index_loads_as_mim_loads_it():
    index = load(str(ROOT / 'model-index.yml'))
    assert {m.name for m in index.models} == {m['Name'] for m in MODELS}
    assert all((ROOT / c.readme).is_file() for c in index.collections)
    assert not index.check_errors


def test_no_result_passes_for_one_measured_here():
    for model in MODELS:
        for result in model['Results']:
            for metric in result['Metrics']:
                assert metric.endswith(('(paper)', '(released)'))
        assert ('Config' in model) != ('Converted From' in model)


@pytest.mark.parametrize('readme', sorted(ROOT.glob('configs/*/README.md')))
def test_links_in_the_readmes_lead_somewhere(readme):
    links = re.findall(r'\]\(([^)]+)\)', readme.read_text())
    for link in links:
        if '://' not in link:
            assert (readme.parent / link).is_file(), link


def build(command, folder):
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', *command, '-d', folder / 'dist'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return next((folder / 'dist').iterdir())


@pytest.mark.parametrize('kind', ['sdist', 'wheel'])
def test_a_distribution_carries_what_mim_looks_for(tmp_path, kind):
    command = ['egg_info', '-e', tmp_path]
    if kind == 'sdist':
        with tarfile.open(build([*command, 'sdist'], tmp_path)) as archive:
            names = [name.partition('/')[2] for name in archive.getnames()]
    else:
        command += ['build', '-b', tmp_path / 'build', 'bdist_wheel']
        with zipfile.ZipFile(build(command, tmp_path)) as archive:
            names = archive.namelist()
    missing = {
        f'dvfl_mmaction/.mim/{path.relative_to(ROOT)}'
        for folder in ('configs', 'tools')
        for path in (ROOT / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    } - set(names)
    assert not missing
    assert 'dvfl_mmaction/.mim/model-index.yml' in names
    assert not (ROOT / 'dvfl_mmaction' / '.mim').exists()
