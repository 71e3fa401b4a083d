"""Damaged and hostile packages are refused in one line."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from dvfl_mmaction import UserError, load_model
from dvfl_mmaction.deployment import package_files
from dvfl_mmaction.deployment.package_files import (
    check_target,
    is_package,
    whole_folder,
)
from dvfl_mmaction.files import hash_file

MODULE = 'module_of_a_hostile_package'


def set_manifest(folder, change):
    path = folder / 'package.json'
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def set_file(path, text):
    """Change a file, and its hash with it."""
    path.write_text(text)
    entry = dict(bytes=path.stat().st_size, sha256=hash_file(path))
    set_manifest(path.parent, lambda m: m['files'].update({path.name: entry}))


def set_config(folder, change):
    data = json.loads((folder / 'config.json').read_text())
    change(data)
    set_file(folder / 'config.json', json.dumps(data))


def refusal(folder) -> str:
    with pytest.raises(UserError) as caught:
        load_model(folder)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    'name', ['model.safetensors', 'config.json', 'classes.json', 'README.md']
)
def test_a_changed_truncated_or_missing_file_is_named(copied, name):
    path = copied / name
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = bytes([content[middle] ^ 1])
    path.write_bytes(content[:middle] + flipped + content[middle + 1 :])
    assert f'{path} was changed: its SHA-256' in refusal(copied)
    path.write_bytes(content[:-1])
    assert (
        f'{path} has {len(content) - 1} bytes, not the {len(content)} of '
        'package.json: it is truncated or changed'
    ) in refusal(copied)
    path.unlink()
    assert f'{path} is missing' in refusal(copied)
    path.write_bytes(content)
    load_model(copied)


def test_a_wrong_manifest_is_refused(copied, tmp_path):
    def listed(name, entry):
        return lambda m: m['files'].update({name: entry})

    set_manifest(copied, listed('../copy/README.md', dict(bytes=1, sha256='')))
    assert "'../copy/README.md', which is outside" in refusal(copied)
    set_manifest(copied, lambda m: m['files'].pop('../copy/README.md'))
    set_manifest(copied, lambda m: m['files'].pop('model.safetensors'))
    assert 'does not list model.safetensors' in refusal(copied)
    set_manifest(copied, lambda m: m.update(format_version=2))
    assert 'has format_version 2; this dvfl_mmaction reads 1' in (
        refusal(copied)
    )
    (copied / 'package.json').write_text('{')
    assert 'package.json cannot be read as JSON' in refusal(copied)
    (copied / 'package.json').write_text('[]')
    assert 'does not describe a packaged model' in refusal(copied)
    (copied / 'package.json').unlink()
    assert 'has no package.json' in refusal(copied)
    assert 'absent was not found' in refusal(tmp_path / 'absent')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda c: c['model'].update(type=f'{MODULE}.run'),
            f"type names '{MODULE}.run', which is not registered",
        ),
        (
            lambda c: c['model']['backbone'].update(type='os.system'),
            "backbone: type names 'os.system'",
        ),
        (
            lambda c: c['test_pipeline'].append(dict(type=f'{MODULE}.run')),
            f"test_pipeline.6: type names '{MODULE}.run'",
        ),
        (
            lambda c: c['model'].update(_scope_=MODULE),
            f"_scope_ names '{MODULE}'",
        ),
        (
            lambda c: c['model']['cls_head'].update(type=[f'{MODULE}.run']),
            'cls_head: type names',
        ),
        (
            lambda c: c.update(custom_imports=dict(imports=[MODULE])),
            'sets custom_imports to',
        ),
        (
            lambda c: c['model'].update(
                type='DistillRecognizer3D', teacher=dict(config='t.py')
            ),
            'has a teacher, whose config may be code',
        ),
        (
            lambda c: c['model'].update(
                backbone=dict(
                    type='DistillRecognizer3D', teacher=dict(config='t.py')
                )
            ),
            'has a teacher, whose config may be code',
        ),
        (lambda c: c.update(default_scope=MODULE), 'sets default_scope to'),
        (lambda c: c.update(filename='a.py'), "the key 'filename'"),
        (lambda c: c.pop('model'), 'has no model'),
        (
            lambda c: c['model']['cls_head'].update(num_classes=9),
            'model.safetensors does not fit config.json: cls_head.fc_cls',
        ),
    ],
)
def test_a_config_imports_and_runs_nothing(
    copied, tmp_path, monkeypatch, change, message
):
    code = f'import pathlib\npathlib.Path({str(tmp_path / "ran")!r}).touch()\n'
    (tmp_path / f'{MODULE}.py').write_text(code + 'def run(**kw): pass\n')
    monkeypatch.syspath_prepend(tmp_path)
    set_config(copied, change)
    assert message in refusal(copied)
    assert MODULE not in sys.modules and not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('names', ['{"0": "a"}', '["a", 1]', '"ab"'])
def test_class_names_that_are_none_are_refused(copied, names):
    set_file(copied / 'classes.json', names)
    assert 'classes.json is no list of names; copy or' in refusal(copied)


def test_a_model_without_class_names_has_none(copied):
    set_file(copied / 'classes.json', 'null')
    assert not hasattr(load_model(copied), 'dataset_meta')


def test_a_folder_is_written_whole_or_not_at_all(copied):
    before = hash_file(copied / 'README.md')
    with pytest.raises(RuntimeError), whole_folder(copied) as part:
        (part / 'README.md').write_text('new')
        raise RuntimeError
    assert hash_file(copied / 'README.md') == before
    assert [path.name for path in copied.parent.iterdir()] == ['copy']
    assert is_package(copied) and not is_package(copied.parent)
    check_target(copied, overwrite=True)
    with (
        pytest.raises(UserError, match='README.md/new cannot be written'),
        whole_folder(copied / 'README.md' / 'new'),
    ):
        pass


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
@pytest.mark.parametrize('last', [1, 2])
def test_an_interrupt_between_the_renames_keeps_the_earlier_folder(
    tmp_path, monkeypatch, error, last
):
    folder, rename, calls = tmp_path / 'model', os.rename, []
    folder.mkdir()
    (folder / 'file').write_text('earlier')

    def interrupted(*paths):
        calls.append(paths)
        if (len(calls), last) != (2, 2):
            rename(*paths)
        if len(calls) == last:
            raise error

    monkeypatch.setattr(package_files.os, 'rename', interrupted)
    wanted = UserError if error is OSError else error
    with pytest.raises(wanted), whole_folder(folder) as part:
        (part / 'file').write_text('new')
    assert (folder / 'file').read_text() == 'earlier'
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize('name', ['link', 'copy/../copy', 'link/../copy'])
def test_a_folder_of_another_name_is_replaced(copied, monkeypatch, name):
    monkeypatch.chdir(copied.parent)
    Path('link').symlink_to('copy')
    check_target(Path(name), overwrite=True)
    with whole_folder(Path(name)) as part:
        (part / 'file').write_text('new')
    assert (copied / 'file').read_text() == 'new'
    assert not is_package(copied)
    assert sorted(p.name for p in Path().iterdir()) == ['copy', 'link']
    assert Path('link').is_symlink() and not copied.is_symlink()


@pytest.mark.parametrize('name', ['.', '../copy', '..'])
def test_the_current_folder_is_not_replaced(copied, monkeypatch, name):
    shutil.copy(copied / 'package.json', copied.parent)
    monkeypatch.chdir(copied)
    with pytest.raises(UserError, match='is the current folder, or has it'):
        check_target(Path(name), overwrite=True)
    assert is_package(copied)


def test_the_package_has_no_other_lazy_name():
    import dvfl_mmaction

    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        _ = dvfl_mmaction.load_modle
