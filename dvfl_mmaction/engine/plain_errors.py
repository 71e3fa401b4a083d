"""One line for a mistake of the user's, instead of a traceback."""

import difflib
import inspect
import os
import re
import signal
import sys
import traceback
from pathlib import Path

from ..errors import UserError

UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
UNREGISTERED = re.compile(r'^(\S+) is not in the (\S+) registry\.')


def explain(error: BaseException) -> str | None:
    """The line to print, or None if it is no mistake of the user's.

    Besides :class:`UserError`, a key or a type that is misspelt in a
    config, which MMEngine's registries raise as TypeError and KeyError.
    """
    if isinstance(error, UserError):
        return ' '.join(str(error).split())
    text = str(error.args[0]) if error.args else ''
    call = built_from_config(error)
    misspelt = UNEXPECTED.search(text)
    if isinstance(error, TypeError) and misspelt:
        if call and misspelt[1] in call.get('args', ()) and 'obj_cls' in call:
            return explain_argument(call['obj_cls'], misspelt[1], call['args'])
        return text if called_by_mmengine(error) else None
    unknown = UNREGISTERED.search(text)
    if isinstance(error, KeyError) and unknown and call:
        names = call['registry'].module_dict
        return f'type {unknown[1]!r} is not registered' + guess(
            unknown[1], names, ''
        )
    return None


def called_by_mmengine(error: BaseException) -> bool:
    """Whether a call that MMEngine makes from the config itself failed."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get('__name__', '').startswith('mmengine.')


def built_from_config(error: BaseException) -> dict | None:
    """Local variables of the innermost build from a registry, if any."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == 'build_from_cfg':
            found = frame.f_locals
    return found


def explain_argument(built, name: str, came: dict) -> str:
    """A key that the class does not take, and the one that was meant."""
    accepted = set()
    for cls in inspect.getmro(built) if inspect.isclass(built) else [built]:
        accepted |= set(inspect.signature(cls).parameters)
    accepted -= {'self', 'args', 'kwargs', *came}
    return f'{built.__name__} has no argument {name!r}' + guess(
        name, accepted, f'; it takes {", ".join(sorted(accepted))}'
    )


def guess(name, candidates, otherwise: str) -> str:
    near = difflib.get_close_matches(name, list(candidates), n=1)
    return f'; did you mean {near[0]!r}?' if near else otherwise


def install():
    """Print uncaught mistakes of the user's as one line, exit status 1.

    Everything else goes to the hook that was there before. With
    ``DVFL_TRACEBACK=1`` in the environment the traceback is shown as well.
    """
    if getattr(sys.excepthook, 'plain_errors', False):
        return
    previous = sys.excepthook

    def hook(kind, error, tb):
        line = explain(error)
        if line is None or os.environ.get('DVFL_TRACEBACK') == '1':
            previous(kind, error, tb)
        if line is not None:
            print(f'error: {line}', file=sys.stderr, flush=True)
            stop_mim()

    hook.plain_errors = True
    sys.excepthook = hook


def stop_mim():
    """Have ``mim`` end as on Ctrl-C if it is what started this process.

    mim answers to any failure of the program it runs with a traceback of
    its own, twenty lines that bury the one above. Interrupted, it says
    "Aborted!" and exits with status 1; where it was started with interrupts
    ignored, as in the background of a script, it is terminated.
    """
    parent = Path(f'/proc/{os.getppid()}')
    try:
        words = (parent / 'cmdline').read_bytes().split(b'\0')
        status = (parent / 'status').read_text()
    except OSError:  # no /proc here: mim will have its say
        return
    if any(Path(os.fsdecode(word)).name == 'mim' for word in words[:3]):
        caught = int(re.search(r'^SigCgt:\s*(\w+)', status, re.M)[1], 16)
        interruptible = caught >> (signal.SIGINT - 1) & 1
        os.kill(
            int(parent.name),
            signal.SIGINT if interruptible else signal.SIGTERM,
        )
