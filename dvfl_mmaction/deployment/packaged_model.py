"""Load a packaged model, from a folder or the Hugging Face hub."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ..checkpoints.matching_weights import describe_mismatch
from ..checkpoints.safe_loading import load_checkpoint_file
from ..compat import run_repairs
from ..errors import UserError
from .model_hub import HUB, download_package
from .package_config import SCOPE, check_data, from_data
from .package_files import (
    AGAIN,
    CLASSES,
    CONFIG,
    EXPORTED,
    WEIGHTS,
    check_files,
    read_json,
    read_manifest,
)


@dataclass
class Package:
    """A packaged model on disk, checked.

    Attributes:
        folder: The folder.
        config: Config of the recognizer, for testing.
        class_names: Names of the classes; None if unknown.
        manifest: Content of ``package.json``.
    """

    folder: Path
    config: Config
    class_names: list[str] | None
    manifest: dict

    @property
    def weights(self) -> Path:
        """File of the weights."""
        return self.folder / WEIGHTS

    @property
    def sha256(self) -> str:
        """SHA-256 of the file of the weights."""
        return self.manifest['files'][WEIGHTS]['sha256']


def load_model(
    source: str | os.PathLike,
    device: str | torch.device = 'cpu',
    download: Callable | None = None,
) -> nn.Module:
    """Load a model that ``tools/package_model.py`` wrote.

    All files are compared with the hashes of the package. The config is
    data: it is refused if it names anything that is not in the registries of
    MMAction2 or this package, so nothing of it can run.

    Args:
        source: The folder, or ``'hf://owner/name'``, optionally with
            ``'@revision'``, on the Hugging Face hub.
        device: Where the model is put.
        download: What fetches from the hub; by default
            ``huggingface_hub.snapshot_download``.

    Returns:
        The recognizer in eval mode, as MMAction2's ``init_recognizer``
        returns it: its config is ``cfg``, and ``dataset_meta['classes']`` are
        its class names, if they are known. ``inference_recognizer(model,
        video)`` takes it.

    Raises:
        UserError: If a file is missing, truncated or changed, the config is
            refused, or the weights do not fit it.
    """
    package = read_package(source, download)
    return build_packaged(package).to(device)


def read_package(
    source: str | os.PathLike, download: Callable | None = None
) -> Package:
    """Find a package, and check its files and config.

    Args:
        source: As for :func:`load_model`.
        download: As for :func:`load_model`.

    Raises:
        UserError: As for :func:`load_model`.
    """
    absent = ()
    if os.fspath(source).startswith(HUB):
        folder = download_package(os.fspath(source), download)
        absent = (f'{EXPORTED}/',)  # not downloaded
    else:
        folder = Path(source).expanduser()
    manifest = read_manifest(folder)
    check_files(folder, manifest, absent)
    data = read_json(folder / CONFIG)
    check_data(data, str(folder / CONFIG))
    names = read_json(folder / CLASSES)
    is_list = isinstance(names, list) and all(type(n) is str for n in names)
    if names is not None and not is_list:
        raise UserError(f'{folder / CLASSES} is no list of names; {AGAIN}')
    return Package(folder, Config(from_data(data)), names, manifest)


def build_packaged(package: Package, config: Config | None = None):
    """Build the recognizer of a package and load its weights, on the CPU.

    Args:
        package: The package.
        config: Its config with changes; by default as it is.

    Raises:
        UserError: If the weights do not fit.
    """
    config = config or package.config
    with (
        DefaultScope.overwrite_default_scope(SCOPE),
        run_repairs,
    ):
        model = MODELS.build(config.model)
    weights = load_checkpoint_file(package.weights)['state_dict']
    if problems := describe_mismatch(weights, model):
        raise UserError(
            f'{package.weights} does not fit {CONFIG}: {problems}; package '
            'the model again'
        )
    model.load_state_dict(weights)
    model.cfg = config
    if package.class_names:
        model.dataset_meta = dict(classes=list(package.class_names))
    return model.eval()
