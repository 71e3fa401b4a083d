"""The exception for the user's mistakes, printed as one line."""

import difflib
import inspect
import os
import re
import sys
import traceback

UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
FROM_WORKER = re.compile(r'Caught (\w+) in \w+ worker process')
UNREGISTERED = re.compile(r'^(\S+) is not in the (\S+) registry\.')


class UserError(ValueError):
    """A mistake of the user, described in one line.

    The message says what was given, what is needed, and the remedy. After
    :func:`print_user_errors` an uncaught one has no traceback.
    """


def print_user_errors():
    """Print uncaught mistakes of the user as one line; the exit status is 1.

    Other errors go to the previous ``sys.excepthook``. The environment
    variable ``DVFL_TRACEBACK=1`` adds the traceback.
    """
    if getattr(sys.excepthook, 'prints_user_errors', False):
        return
    previous = sys.excepthook

    def hook(kind, error, tb):
        line = user_error_line(error)
        if line is None or os.environ.get('DVFL_TRACEBACK') == '1':
            previous(kind, error, tb)
        if line is not None:
            # mim prints its own traceback below; blank lines separate it.
            print(f'\nerror: {line}\n', file=sys.stderr, flush=True)

    hook.prints_user_errors = True
    sys.excepthook = hook


def user_error_line(error: BaseException) -> str | None:
    """Describe a user's mistake in one line.

    Besides :class:`UserError` this recognises a KeyboardInterrupt that says
    how to resume, and misspelt keys and types in a config, for which
    MMEngine's registries raise TypeError and KeyError.

    Returns:
        The line, or None if the error is not a mistake of the user.
    """
    interrupted = isinstance(error, KeyboardInterrupt) and error.args
    if isinstance(error, UserError) or interrupted:
        return ' '.join(own_message(error).split())
    text = str(error.args[0]) if error.args else ''
    call = built_from_config(error)
    misspelt = UNEXPECTED.search(text)
    if isinstance(error, TypeError) and misspelt:
        if call and misspelt[1] in call.get('args', ()) and 'obj_cls' in call:
            return unknown_argument(call['obj_cls'], misspelt[1], call['args'])
        return text if raised_in(error, 'mmengine') else None
    unknown = UNREGISTERED.search(text)
    if isinstance(error, KeyError) and unknown and call:
        names = call['registry'].module_dict
        return f'type {unknown[1]!r} is not registered' + suggestion(
            unknown[1], names, ''
        )
    return None


def own_message(error: BaseException) -> str:
    """The message of an error, as a loader's worker raised it.

    PyTorch raises it again with the worker's traceback for a message.
    """
    text = str(error)
    caught = FROM_WORKER.match(text)
    if caught is None:
        return text
    raised = re.compile(rf'^(?:[\w.]+\.)?{caught[1]}: ', re.MULTILINE)
    return raised.split(text)[-1].strip()


def raised_in(error: BaseException, package: str) -> bool:
    """Whether a package's own code raised the error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get('__name__', '').startswith(f'{package}.')


def built_from_config(error: BaseException) -> dict | None:
    """Local variables of the innermost ``build_from_cfg``, if any."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == 'build_from_cfg':
            found = frame.f_locals
    return found


def unknown_argument(built, name: str, given: dict) -> str:
    """Report a key that a class does not accept, and the likely one."""
    accepted = set()
    for cls in inspect.getmro(built) if inspect.isclass(built) else [built]:
        accepted |= set(inspect.signature(cls).parameters)
    accepted -= {'self', 'args', 'kwargs', *given}
    return f'{built.__name__} has no argument {name!r}' + suggestion(
        name, accepted, f'; it accepts {", ".join(sorted(accepted))}'
    )


def suggestion(name, candidates, otherwise: str) -> str:
    """The end of an error: the closest candidate, or ``otherwise``."""
    near = difflib.get_close_matches(name, list(candidates), n=1)
    return f'; did you mean {near[0]!r}?' if near else otherwise
