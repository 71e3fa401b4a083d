"""Download a packaged model from the Hugging Face hub, or push one there.

``huggingface_hub`` is the optional extra ``hub``.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from ..errors import UserError
from .package_files import CLASS_LIST, EXPORTED, check_files, read_manifest

HUB = 'hf://'
ADDRESS = re.compile(r'hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?')
REPOSITORY = re.compile(r'[\w.-]+/[\w.-]+')


def download_package(address: str, download: Callable | None = None) -> Path:
    """Download a packaged model, without its exported files.

    A copy in the cache is used where the hub cannot be reached.

    Args:
        address: ``'hf://owner/name'`` or ``'hf://owner/name@revision'``.
        download: In place of ``huggingface_hub.snapshot_download``.

    Returns:
        The folder in the cache.

    Raises:
        UserError: If the address is malformed, or the model can neither be
            downloaded nor found in the cache.
    """
    match = ADDRESS.fullmatch(address)
    if not match:
        raise UserError(
            f'{address} is no address of a model; give hf://owner/name, or '
            'hf://owner/name@revision'
        )
    hub = import_hub()
    download = download or hub.snapshot_download
    try:
        return Path(
            download(
                repo_id=match[1],
                revision=match[2],
                ignore_patterns=[f'{EXPORTED}/*'],
            )
        )
    except Exception as error:
        if not is_failure(error):
            raise
        raise UserError(
            f'{address} is not in the cache {hub.constants.HF_HUB_CACHE} and '
            f'cannot be downloaded ({first_line(error)}); check the name and '
            'the network, or copy the folder and give its path'
        ) from error


def push_package(
    folder: str | os.PathLike,
    repository: str,
    private: bool = False,
    client=None,
) -> str:
    """Upload a packaged model; the repository is created if needed.

    Args:
        folder: The package; its files are checked before.
        repository: ``'owner/name'``.
        private: Whether a new repository is private.
        client: In place of ``huggingface_hub.HfApi()``, which takes the
            token of ``hf auth login`` or of ``HF_TOKEN``.

    Returns:
        The address for :func:`.packaged_model.load_model`.

    Raises:
        UserError: If the name is malformed, a file was changed, or the hub
            refuses.
    """
    check_repository(repository)
    folder = Path(folder)
    check_files(folder, read_manifest(folder))
    client = client or import_hub().HfApi()
    try:
        client.create_repo(
            repo_id=repository,
            repo_type='model',
            private=private,
            exist_ok=True,
        )
        client.upload_folder(
            repo_id=repository,
            repo_type='model',
            folder_path=str(folder),
            commit_message='Upload a model packaged by dvfl_mmaction',
            # Those of a package before, if this one has none.
            delete_patterns=[f'{EXPORTED}/*', CLASS_LIST],
        )
    except Exception as error:
        if not is_failure(error):
            raise
        raise UserError(
            f'{folder} cannot be pushed to {repository} '
            f'({first_line(error)}); log in with hf auth login, and check '
            'the name and the network; the folder is complete: rerun the '
            'command with --overwrite'
        ) from error
    return f'{HUB}{repository}'


def check_repository(repository: str):
    """
    Raises:
        UserError: If a name is malformed.
    """
    if not REPOSITORY.fullmatch(repository):
        raise UserError(
            f'--push {repository} is no name of a repository; give owner/name'
        )


def import_hub() -> ModuleType:
    """
    Raises:
        UserError: If ``huggingface_hub`` is not installed.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise UserError(
            'hf:// and --push need huggingface_hub; run: pip install '
            "'dvfl_mmaction[hub]'"
        ) from None
    return huggingface_hub


def is_failure(error: Exception) -> bool:
    """Whether an error is of the hub, of the network, or of the disk."""
    modules = {cls.__module__.partition('.')[0] for cls in type(error).mro()}
    return isinstance(error, OSError) or bool(
        modules & {'huggingface_hub', 'httpx', 'requests'}
    )


def first_line(error: Exception) -> str:
    """The first line of an error, or its class."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(' .:') if lines else type(error).__name__
