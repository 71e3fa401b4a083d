"""Commands and Python snippets of the documentation, and their checks."""

import argparse
import inspect
import os
import re
import runpy
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import mmaction
import torch
from mim.commands.test import cli as mim_test
from mim.commands.train import cli as mim_train
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner, set_random_seed
from project_configs import build_without_weights

from dvfl_mmaction.engine.config_checks import (
    TOOL_KEYS,
    check_classes,
    check_keys,
)
from dvfl_mmaction.engine.options import apply_options
from dvfl_mmaction.run_tool import find_script

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
MMACTION_TOOLS = Path(mmaction.__file__).parent / '.mim' / 'tools'
RUN_TOOL = ['python', '-m', 'dvfl_mmaction.run_tool']
SHELL_WORDS = {'for', 'do', 'done', 'source'}  # not checked
# Commands that another file runs: the file, and what it contains.
RUN_ELSEWHERE = {
    'bash tools/quickstart.sh': (
        'tests/tools/test_quickstart.py',
        'test_the_quickstart_trains_tests_and_prints_the_table',
    ),
    'bash tools/run_tests.sh': ('.ci/run', 'bash tools/run_tests.sh'),
    'python -m venv .venv': ('tools/environment.sh', '-m venv "$VENV"'),
    'pip install -c requirements/constraints.txt -e .': (
        'tools/environment.sh',
        '-c requirements/constraints.txt',
    ),
}


@dataclass
class Command:
    """A command of a page.

    Attributes:
        words: As the shell splits them.
        has_needs: Whether its block has a comment ``# needs ...``.
    """

    words: list[str]
    has_needs: bool

    def __str__(self):
        return ' '.join(self.words)


@dataclass
class Snippet:
    """A Python block of a page.

    Attributes:
        name: File name, from a comment in the first line or the last file
            named in the paragraph above; '' without either.
        code: Its text.
    """

    name: str
    code: str

    @property
    def is_config(self) -> bool:
        return bool(re.search(r'^_base_ = ', self.code, re.M))

    def write(self, folder: Path) -> Path:
        """Write the file, with absolute paths of the project's configs."""
        path = folder / (self.name or 'snippet.py')
        path.write_text(self.code.replace("'configs/", f"'{ROOT}/configs/"))
        return path


def find_blocks(text: str, language: str) -> list[tuple[str, str]]:
    """Fenced blocks of a language: the paragraph above, and the content."""
    parts = re.split(r'^```(\w*)\n(.*?)^```$', text, flags=re.M | re.S)
    return [
        (before.strip().rpartition('\n\n')[2], content)
        for before, found, content in zip(
            parts[::3], parts[1::3], parts[2::3], strict=False
        )
        if found == language
    ]


def find_commands(text: str) -> list[Command]:
    """Commands of a page's bash blocks."""
    commands = []
    for _, content in find_blocks(text, 'bash'):
        has_needs = bool(re.search(r'^# needs \w', content, re.M))
        for line in content.replace('\\\n', ' ').splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = []
            for word in [*lexer, ';']:
                if word not in (';', '&&'):
                    words.append(word)
                    continue
                if words and words[0] not in SHELL_WORDS:
                    commands.append(Command(words, has_needs))
                words = []
    return commands


def find_snippets(text: str) -> list[Snippet]:
    """Python blocks of a page."""
    snippets = []
    for above, code in find_blocks(text, 'python'):
        names = re.findall(r'`([\w.]+\.py)`', above)
        names += re.findall(r'\A# (\w+\.py)', code)
        snippets.append(Snippet(names[-1] if names else '', code))
    return snippets


def find_problem(
    command: Command, snippets: list[Snippet], folder: Path
) -> str | None:
    """Why a command is not known to work, or None.

    The arguments of the project's tools, ``run_tool``, ``mim train`` and
    ``mim test`` are parsed by their own parsers, and the configs of all but
    ``run_tool`` are built. Other commands are run elsewhere or have a comment
    on what they need.

    Args:
        command: The command.
        snippets: Configs that may be its.
        folder: A folder for files.
    """
    words = command.words
    try:
        if words[0] == 'python' and has_parser(ROOT / words[1]):
            args = parse_arguments(ROOT / words[1], words[2:])
            if options := getattr(args, 'cfg_options', None):
                config = getattr(args, 'config', None) or args.to
                check_config(config, options, snippets, folder)
            return None
        if words[:3] == RUN_TOOL and not words[3].endswith('.py'):
            parse_arguments(find_script(words[3]), words[4:])
            return None
        if words[:3] in (
            ['mim', 'train', 'mmaction2'],
            ['mim', 'test', 'mmaction2'],
        ):
            check_mim(words[1], words[2:], snippets, folder)
            return None
    except (Exception, SystemExit) as error:
        return f'{type(error).__name__}: {error}'
    if str(command) in RUN_ELSEWHERE or command.has_needs:
        return None
    return 'not tested; add a test, or a comment "# needs ..." to its block'


def has_parser(path: Path) -> bool:
    """Whether a script parses arguments; others would run here.

    Raises:
        FileNotFoundError: If a script does not exist.
    """
    parses = re.compile(r'\.parse(_intermixed)?_args\(\)')
    return path.suffix == '.py' and bool(parses.search(path.read_text()))


class Parsed(Exception):
    """Carries the arguments out of a tool."""


def parse_arguments(path: Path, words: list[str]):
    """Parse arguments as a tool does; None for ``--help``."""
    real = argparse.ArgumentParser.parse_args

    def stop(parser, *args, **kwargs):
        raise Parsed(real(parser, *args, **kwargs))

    with (
        mock.patch.object(sys, 'argv', [str(path), *words]),
        mock.patch.object(sys, 'excepthook'),
        mock.patch.dict(os.environ),
    ):
        try:
            if 'def parse_args()' in path.read_text():
                return runpy.run_path(str(path))['parse_args']()
            with mock.patch.object(
                argparse.ArgumentParser, 'parse_args', stop
            ):
                runpy.run_path(str(path), run_name='__main__')
        except Parsed as parsed:
            return parsed.args[0]
        except SystemExit as end:
            if end.code:
                raise
    return None


def check_mim(verb: str, words: list[str], snippets, folder: Path):
    """Check the arguments of ``mim train`` or ``mim test``."""
    cli = mim_train if verb == 'train' else mim_test
    params = cli.make_context(verb, list(words)).params
    config = params['config']
    positional = [config]
    if verb == 'test':
        positional.append(params['checkpoint'] or '')
    args = parse_arguments(
        MMACTION_TOOLS / f'{verb}.py', [*positional, *params['other_args']]
    )
    if '$' not in config:
        check_config(config, args.cfg_options or {}, snippets, folder)


def check_config(name: str, options: dict, snippets, folder: Path):
    """Load a config, merge the options, and build its model."""
    path = ROOT / name
    if not path.is_file():
        named = [s for s in snippets if s.is_config and s.name == name]
        if not named:
            raise FileNotFoundError(name)
        path = named[0].write(folder)
    cfg = Config.fromfile(path)
    for key in options:
        if not is_known(cfg, key):
            raise KeyError(f'{name} has no {key}')
    cfg.merge_from_dict(options)
    build_config(cfg)


def is_known(cfg: Config, key: str) -> bool:
    """Whether an option is read.

    Keys of the model that the config does not set are checked when it is
    built.
    """
    first, _, rest = key.partition('.')
    if first == 'model':
        return True
    if first == 'randomness':
        return rest in inspect.signature(set_random_seed).parameters
    if not rest:
        runner = inspect.signature(Runner.__init__).parameters
        return key in {*runner, *TOOL_KEYS}
    node = cfg
    for part in key.split('.'):
        if isinstance(node, list):
            part = int(part)
        elif part not in node:
            return False
        node = node[part]
    return True


def build_config(cfg: Config):
    """Check a config as the runner does, and build its model.

    None for BMN, which is not built.
    """
    check_keys(cfg)
    check_classes(cfg)
    apply_options(cfg)
    if cfg.model.type == 'BMN':  # 10 s; tests/recipes builds a small one
        return None
    if cfg.model.get('_scope_') == 'mmdet':  # which need not be installed
        with torch.device('meta'):
            return MODELS.build(cfg.model.backbone)
    return build_without_weights(cfg.model)
