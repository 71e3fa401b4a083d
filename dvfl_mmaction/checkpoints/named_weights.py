"""ImageNet weights by name: their addresses, and the local copy."""

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import torch
from mmengine.logging import print_log

from ..errors import UserError
from ..files import hash_file
from .architecture import ARCHS, Architecture
from .conversion import convert
from .matching_configs import architecture_shapes
from .source import Source, list_shapes, read_source

# FocalNet with small receptive fields (kernels 3 and 5), ImageNet-1K.
NAMES = {
    'focalnet_tiny_srf': 'tiny',
    'focalnet_small_srf': 'small',
    'focalnet_base_srf': 'base',
}
OF_ARCH = {
    (ARCHS[arch]['embed_dim'], ARCHS[arch]['depths']): name
    for arch, name in {
        **{arch: name for name, arch in NAMES.items()},
        'nano': 'focalnet_tiny_srf',  # its first blocks
    }.items()
}
IMAGENET = 'imagenet'  # those of the architecture
NUM_CLASSES = 1000
# Microsoft's release, then timm's copy of it.
URLS = (
    'https://github.com/microsoft/FocalNet/releases/download/v1.0.0/{name}.pth',
    'https://huggingface.co/timm/{name}.ms_in1k/resolve/main/model.safetensors',
)
# Addresses to use instead, separated by spaces; each contains {name}.
URLS_VARIABLE = 'DVFL_PRETRAINED_URLS'
SUFFIXES = ('.pth', '.safetensors')
ATTEMPTS = 2  # per address, in a row without progress
FROM_SCRATCH = 'model.backbone.pretrained=None'


def find_weights(name: str) -> Path:
    """Find named weights, and download them if they are not in the cache.

    The cache is the folder ``checkpoints`` of ``torch.hub.get_dir()``, which
    follows ``TORCH_HOME``. Processes that need the same file wait for the
    one that downloads it.

    Args:
        name: One of ``NAMES``.

    Returns:
        The file in the cache: ``NAME.pth`` or ``NAME.safetensors``.

    Raises:
        UserError: If it is not in the cache and no address sends it.
    """
    from filelock import FileLock  # few runs need it

    folder = Path(torch.hub.get_dir(), 'checkpoints')
    if path := cached(folder, name):
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f'{name}.lock'):
            return cached(folder, name) or download(folder, name)
    except OSError as error:
        raise UserError(
            f'{folder} cannot be written ({error}); set TORCH_HOME to a '
            f'folder for downloads, or train from scratch: {FROM_SCRATCH}'
        ) from error


def cached(folder: Path, name: str) -> Path | None:
    """The file of named weights in a folder, or None."""
    paths = [folder / f'{name}{suffix}' for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def addresses(name: str) -> list[str]:
    """The addresses of named weights, in the order to try them.

    Raises:
        UserError: If the environment variable has one without ``{name}``.
    """
    templates = os.environ.get(URLS_VARIABLE, '').split() or URLS
    for template in templates:
        if '{name}' not in template:
            raise UserError(
                f'{URLS_VARIABLE} has the address {template}; give addresses '
                'with {name} in place of the name of the weights'
            )
    return [template.replace('{name}', name) for template in templates]


def download(folder: Path, name: str) -> Path:
    """Download named weights from the first address that sends them.

    A file is checked before it gets its name.

    Raises:
        UserError: If there is none, with the fault of each.
    """
    # Imports requests, which takes as long as the rest of the package.
    from ..download import fetch
    from ..progress import Progress

    faults = []
    for url in addresses(name):
        suffix = Path(urlsplit(url).path).suffix
        path = folder / (name + (suffix if suffix in SUFFIXES else '.pth'))
        unchecked = path.with_name(f'{path.stem}.unchecked{path.suffix}')
        print_log(f'downloading {url} to {path}', logger='current')
        try:
            with Progress(path.name) as progress:
                fetch(url, unchecked, progress, attempts=ATTEMPTS)
            check_named(read_source(unchecked), name)
        except UserError as error:
            unchecked.unlink(missing_ok=True)
            fault = str(error).removeprefix(url).partition('; ')[0]
            faults.append(f'{url} ({fault.strip()})')
            continue
        digest = hash_file(unchecked)
        os.replace(unchecked, path)
        print_log(
            f'{path}: every shape is that of {name}; SHA-256 {digest} (none '
            'is published to compare it with)',
            logger='current',
        )
        return path
    raise UserError(
        f'the weights {name} are not in {folder} and cannot be downloaded: '
        f'{"; ".join(faults)}; put {name}.pth there, or train from scratch '
        f'with --cfg-options {FROM_SCRATCH}'
    )


def check_named(source: Source, name: str):
    """Check that a file has the weights of a name, each of its shape.

    Raises:
        UserError: With what differs.
    """
    arch = ARCHS[NAMES[name]]
    stages = len(arch['depths'])
    wanted = Architecture(
        embed_dim=arch['embed_dim'],
        depths=arch['depths'],
        focal_levels=(2,) * stages,
        focal_windows=(3,) * stages,
        tubelet_size=1,
        in_channels=3,
        norms=('norm',),
        num_classes=None,
    )
    found = source.architecture()
    same = found == replace(wanted, in_channels=found.in_channels)
    if not (source.layout.from_image and same):
        raise UserError(
            f'{source.path} is not {name} but {source.title} with {found}; '
            'delete the file, or give the right one'
        )
    shapes = architecture_shapes(wanted)
    _, report = convert(source, shapes, initialise=True)
    channels = arch['embed_dim'] * 2 ** (stages - 1)
    head = {k: source.weights[k].shape for k in report.dropped}
    if report.averaged or sorted(map(tuple, head.values())) != [
        (NUM_CLASSES,),
        (NUM_CLASSES, channels),
    ]:
        raise UserError(
            f'{source.path} is not {name}, which takes 3 channels and has '
            f'{NUM_CLASSES} classes (its head: {list_shapes(head)}); delete '
            'the file, or give the right one'
        )
