"""The hub, by clients that keep what they are asked for."""

import shutil
import sys

import pytest

from dvfl_mmaction import UserError, load_model
from dvfl_mmaction.deployment.model_hub import push_package
from dvfl_mmaction.deployment.package_files import read_manifest


class Hub:
    """What ``HfApi`` and ``snapshot_download`` do, in a folder."""

    def __init__(self, folder, error=None):
        self.folder, self.error, self.calls = folder, error, []

    def create_repo(self, **kwargs):
        self.calls.append(kwargs)
        if self.error:
            raise self.error

    def upload_folder(self, repo_id, folder_path, **kwargs):
        self.calls.append(kwargs)
        shutil.copytree(folder_path, self.folder / repo_id)

    def download(self, repo_id, revision, ignore_patterns):
        self.calls.append((repo_id, revision, ignore_patterns))
        if self.error:
            raise self.error
        return str(self.folder / repo_id)


@pytest.fixture(autouse=True)
def installed():
    pytest.importorskip('huggingface_hub')


def test_a_pushed_model_loads_by_its_address(packaged, tmp_path):
    hub = Hub(tmp_path)
    address = push_package(packaged, 'me/small', private=True, client=hub)
    assert address == 'hf://me/small'
    assert hub.calls[0] == dict(
        repo_id='me/small', repo_type='model', private=True, exist_ok=True
    )
    assert hub.calls[1]['repo_type'] == 'model'
    # Those of an earlier package would be of other weights or classes.
    assert hub.calls[1]['delete_patterns'] == ['exported/*', 'classes.txt']
    model = load_model(f'{address}@v1', download=hub.download)
    assert hub.calls[2] == ('me/small', 'v1', ['exported/*'])
    wanted = load_model(packaged).state_dict()
    for name, value in model.state_dict().items():
        assert value.equal(wanted[name])


def test_exported_files_are_not_downloaded(copied):
    manifest = read_manifest(copied)
    entry = dict(manifest['files']['README.md'])
    path = copied / 'package.json'
    text = path.read_text().replace(
        '"README.md"', '"exported/m.onnx": ' + str(entry).replace("'", '"') +
        ', "README.md"'
    )  # fmt: skip
    path.write_text(text)
    with pytest.raises(UserError, match=r'exported/m.onnx is missing'):
        load_model(copied)
    hub = Hub(copied.parent)
    (copied.parent / 'me').mkdir()
    copied.rename(copied.parent / 'me' / 'small')
    load_model('hf://me/small', download=hub.download)


def test_an_unreachable_hub_is_one_line_with_the_cache(packaged, tmp_path):
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    error = LocalEntryNotFoundError('no network.\nSee the traceback')
    hub = Hub(tmp_path, error)
    with pytest.raises(UserError) as caught:
        load_model('hf://me/small', download=hub.download)
    assert str(caught.value).startswith(
        f'hf://me/small is not in the cache {constants.HF_HUB_CACHE} and '
        'cannot be downloaded (no network); check the name'
    )
    hub.error = OSError('refused')
    with pytest.raises(UserError, match=r'be pushed to me/small \(refused\)'):
        push_package(packaged, 'me/small', client=hub)
    hub.error = OSError()
    with pytest.raises(UserError, match=r'to me/small \(OSError\).*--overwr'):
        push_package(packaged, 'me/small', client=hub)
    hub.error = TypeError('a fault of the program')
    with pytest.raises(TypeError):
        push_package(packaged, 'me/small', client=hub)


def test_a_changed_package_is_not_pushed(copied, tmp_path):
    hub = Hub(tmp_path)
    (copied / 'README.md').write_text('changed')
    with pytest.raises(UserError, match='README.md has 7 bytes'):
        push_package(copied, 'me/small', client=hub)
    assert not hub.calls


@pytest.mark.parametrize('name', ['small', 'a/b/c', 'me/', 'me/a b'])
def test_malformed_names_are_refused(packaged, name):
    with pytest.raises(UserError, match='give hf://owner/name'):
        load_model(f'hf://{name}')
    with pytest.raises(UserError, match='give owner/name'):
        push_package(packaged, name)


def test_a_missing_extra_is_named(packaged, monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    for call in (
        lambda: load_model('hf://me/small'),
        lambda: push_package(packaged, 'me/small'),
    ):
        with pytest.raises(UserError, match=r"'dvfl_mmaction\[hub\]'"):
            call()
