"""The model zoo lists every config and is part of the distributions."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from modelindex.load_model_index import load

ROOT = Path(__file__).parents[2]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
METAFILES = [
    yaml.safe_load((ROOT / name).read_text()) for name in INDEX['Import']
]
MODELS = [model for metafile in METAFILES for model in metafile['Models']]


def test_every_config_of_the_papers_is_listed_once():
    # The streaming student, "causal", is in no paper and has no results.
    trained = [m for m in MODELS if 'Converted From' not in m]
    assert sorted(m['Name'] for m in trained) == sorted(
        path.stem
        for path in (ROOT / 'configs').glob('*.py')
        if not path.stem.endswith('_demo') and '_causal' not in path.stem
    )
    for model in trained:
        assert model['Config'] == f'configs/{model["Name"]}.py'


def test_released_weights_name_their_config_if_it_exists():
    released = [m for m in MODELS if 'Converted From' in m]
    assert len(released) == 7
    for model in released:
        config = f'configs/{model["Name"].removesuffix("_released")}.py'
        wanted = config if (ROOT / config).is_file() else None
        assert model.get('Config') == wanted
    assert sum('Config' in m for m in released) == 4


def read_results(text):
    """Top-1 and top-5 by model and data set, from a README's table."""
    results, datasets = {}, None
    for line in text.splitlines():
        name, *cells = [cell.strip() for cell in line.strip('|').split('|')]
        if cells[:1] == ['UCF50']:
            datasets = cells
        elif not cells:
            datasets = None
        elif datasets and '---' not in name:
            for dataset, cell in zip(datasets, cells, strict=True):
                top1, top5 = re.findall(r'\d+\.\d', cell)
                results[name, dataset] = float(top1), float(top5)
    return results


def test_the_papers_results_are_quoted_equally_everywhere():
    wanted = {}
    for readme in ROOT.glob('configs/*/README.md'):
        wanted |= read_results(readme.read_text())
    assert len(wanted) == 25
    short = {'SthV2': 'SSV2', 'Kinetics-400': 'K400'}
    listed = {}
    for model in MODELS:
        (result,) = model['Results']
        dataset = short.get(result['Dataset'], result['Dataset'])
        metrics = result['Metrics']
        if 'Top 5 Accuracy (paper)' in metrics:
            listed[model['Metadata']['Architecture'], dataset] = (
                metrics['Top 1 Accuracy (paper)'],
                metrics['Top 5 Accuracy (paper)'],
            )
            assert result['Dataset'] == model['Metadata']['Training Data']
    assert listed == wanted


def test_the_index_loads_as_mim_loads_it():
    index = load(str(ROOT / 'model-index.yml'))
    assert {m.name for m in index.models} == {m['Name'] for m in MODELS}
    assert all((ROOT / c.readme).is_file() for c in index.collections)
    assert not index.check_errors


def test_every_result_is_marked_as_published():
    for model in MODELS:
        for result in model['Results']:
            for metric in result['Metrics']:
                assert metric.endswith(('(paper)', '(released)'))
                assert metric.endswith('(paper)') == (
                    'Converted From' not in model
                )


@pytest.mark.parametrize('readme', sorted(ROOT.glob('configs/*/README.md')))
def test_links_in_the_readmes_exist(readme):
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
def test_a_distribution_contains_the_files_for_mim(tmp_path, kind):
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
    # The shell scripts work in a checkout only.
    assert {Path(name).suffix for name in missing} == {'.sh'}
    assert 'dvfl_mmaction/.mim/model-index.yml' in names
    unpacked_sdist = (ROOT / 'PKG-INFO').is_file()
    assert (ROOT / 'dvfl_mmaction' / '.mim').exists() == unpacked_sdist
