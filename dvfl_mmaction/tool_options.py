"""Options that several tools have, with the same names and words."""

import argparse
import os
from collections.abc import Iterable, Mapping

import torch
from mmengine.config import Config, DictAction

from .errors import UserError

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


def check_root(
    parser: argparse.ArgumentParser, root: str | None, videos: Iterable[str]
):
    """End the program at a ``--root`` without a list of clips."""
    is_list = (video.lower().endswith('.txt') for video in videos)
    if root and not any(is_list):
        parser.error('--root needs a list of clips (.txt)')


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


class CfgOptions(DictAction):
    """MMEngine's ``KEY=VALUE`` action, which reports mistakes in one line."""

    def __call__(self, parser, namespace, values, option_string=None):
        for text in values:
            key, equals, _ = text.partition('=')
            if not key or not equals:
                raise argparse.ArgumentError(
                    self,
                    f'{text} is not KEY=VALUE; give such pairs only, and '
                    'all other arguments before --cfg-options',
                )
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:  # of the brackets in a value
            raise argparse.ArgumentError(
                self, f'{error}; close all of them, and quote the pair'
            ) from None


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
        action=CfgOptions,
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


def refuse_unread(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    names: Iterable[str],
    needed: str,
):
    """End the program at an option that nothing would read.

    Args:
        parser: Reports it.
        args: Its arguments. An option with the value of its default passes.
        names: The options that need another one.
        needed: What reads them.
    """
    for name in names:
        if getattr(args, name) != parser.get_default(name):
            option = name.replace('_', '-')
            parser.error(f'--{option} needs {needed}')


def merge_options(cfg: Config, options: Mapping | None, source: str):
    """Change a config as MMEngine's ``merge_from_dict``.

    Args:
        cfg: The config.
        options: Values by key, as of ``--cfg-options``.
        source: The config's name, for the error.

    Raises:
        UserError: If the config has something else in the place of one.
    """
    try:
        cfg.merge_from_dict(dict(options or {}))
    except (TypeError, KeyError) as error:
        reason = str(error.args[0]).partition(' [')[0]  # without the list
        raise UserError(
            f'{source} has no place for {", ".join(options)} ({reason}); '
            'correct the key, or set the whole list or dict that should '
            'have it'
        ) from None
