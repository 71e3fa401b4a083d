"""Options that several tools have, with the same names and words."""

import argparse
import os

import torch
from mmengine.config import DictAction

NAMES = "the names in the checkpoint or of the config's data set"


def add_model(parser: argparse.ArgumentParser):
    """Add the positions ``config`` and ``checkpoint``."""
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint', help='its trained weights')


def add_classes(parser: argparse.ArgumentParser, otherwise: str = ''):
    """Add ``--classes``.

    Args:
        parser: Gets the option.
        otherwise: What stands for names that are found nowhere.
    """
    default = f'{NAMES}, else {otherwise}' if otherwise else NAMES
    parser.add_argument(
        '--classes',
        metavar='FILE',
        help=f'a class name per line (default: {default})',
    )


def add_compare(parser: argparse.ArgumentParser):
    """Add ``--compare CONFIG CHECKPOINT``."""
    parser.add_argument(
        '--compare',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='a second model, such as the teacher, beside the first',
    )


def add_root(parser, lists: str = 'lists'):
    """Add ``--root``.

    Args:
        parser: A parser, or a group of one.
        lists: What names the clips.
    """
    parser.add_argument(
        '--root',
        metavar='FOLDER',
        help=f'folder of the paths in {lists} (default: that of the list, or '
        'videos in it)',
    )


def add_licence(parser: argparse.ArgumentParser):
    """Add ``--licence``."""
    parser.add_argument(
        '--licence',
        default='apache-2.0',
        help='licence of the weights (default: apache-2.0, that of this '
        'project; the data may ask for another)',
    )


def add_workers(parser, clips: str = 'clips'):
    """Add ``--workers``.

    Args:
        parser: A parser, or a group of one.
        clips: The clips that they read.
    """
    parser.add_argument(
        '--workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help=f'processes that read {clips} (default: one per core, up to 8)',
    )


def add_device(parser, models: str = ''):
    """Add ``--device``; its value goes to :func:`choose_device`.

    Args:
        parser: A parser, or a group of one.
        models: The models that have a choice.
    """
    parser.add_argument(
        '--device',
        help=f'{models}cpu, cuda or cuda:1 (default: a GPU if there is one)',
    )


def choose_device(device: str | None) -> str:
    """The user's device, else a GPU if there is one."""
    return device or ('cuda' if torch.cuda.is_available() else 'cpu')


def add_cfg_options(parser, example: str, config: str = 'the config'):
    """Add ``--cfg-options``.

    Args:
        parser: A parser, or a group of one.
        example: ``KEY=VALUE`` for the help.
        config: The config that is changed.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help=f'changes of {config}, such as {example}',
    )


def check_least(
    parser: argparse.ArgumentParser, args: argparse.Namespace, **least: float
):
    """End the program at a value that is too small.

    Args:
        parser: Reports it.
        args: Its arguments. None, for an option that was not given, passes;
            of a list all values count.
        least: Smallest value by name.
    """
    for name, smallest in least.items():
        values = getattr(args, name)
        for value in values if isinstance(values, list) else [values]:
            if value is not None and not value >= smallest:
                option = name.replace('_', '-')
                parser.error(f'--{option} {value}; give {smallest} or more')
