"""A config as data: JSON that names only classes of the registries.

A JSON file has no tuples, and some transforms accept a tuple only. A tuple
is written as ``{"__tuple__": [...]}``.
"""

import math
import ntpath
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from mmaction import registry as mmaction_registries
from mmaction.utils import register_all_modules
from mmengine.registry import Registry

from ..errors import UserError

TUPLE = '__tuple__'
SCOPE = 'mmaction'
IMPORTS = dict(imports=['dvfl_mmaction'], allow_failed_imports=False)
# Packages whose classes a config may name.
PACKAGES = ('mmaction', 'mmengine', 'mmcv', 'dvfl_mmaction', 'torch')
# What a model is built and run from; all else is a record of the training.
BUILT = ('model', 'test_pipeline')
# Of the machine or of the run, not of the model.
LEFT_OUT = ('work_dir', 'load_from', 'resume', 'launcher', 'experiment_name')
RESERVED = ('filename', 'text', 'pretty_text', 'env_variables')  # MMEngine's


def to_data(cfg: Mapping) -> tuple[dict, list[str]]:
    """Convert a config to plain values for JSON.

    Absolute paths are cut to their last part, so that nothing of the
    machine is published.

    Args:
        cfg: The config, with the plain model of testing.

    Returns:
        The data, and a line per top-level key that is left out: a part of
        the training that is no data, or names a class of another package.

    Raises:
        UserError: If the model or the test pipeline is such a part.
    """
    known, data, dropped = known_types(), {}, []
    for key, value in cfg.items():
        if key in LEFT_OUT:
            continue
        try:
            plain = to_plain(with_names(value, known), key)
            check_types(plain, known, key)
        except UserError as error:
            if key in BUILT:
                raise
            dropped.append(str(error))
            continue
        data[key] = plain
    data |= dict(default_scope=SCOPE, custom_imports=dict(IMPORTS))
    return data, dropped


def with_names(value, known: Mapping[str, str]):
    """Replace registered classes by their names, as ``type`` takes them.

    Names with the scope or the module lose it: a config may say
    ``mmaction.Resize``, and MMEngine dumps a class with its module.

    Args:
        value: A part of a config.
        known: From :func:`known_types`.
    """
    if isinstance(value, Mapping):
        value = {k: with_names(v, known) for k, v in value.items()}
        if 'type' in value:
            value['type'] = registered_name(value['type'], known)
        return value
    if isinstance(value, list | tuple):
        items = (with_names(part, known) for part in value)
        return tuple(items) if isinstance(value, tuple) else list(items)
    return value


def registered_name(kind, known: Mapping[str, str]):
    """The name alone of a type that is registered; others as they are."""
    path = kind
    if not isinstance(kind, str):
        names = (getattr(kind, k, '') for k in ('__module__', '__name__'))
        path = '.'.join(map(str, names))  # a method's module is None
    name, package = path.rpartition('.')[2], path.partition('.')[0]
    # MMEngine and MMCV may have another class of that name.
    same = package == known.get(name, '').partition('.')[0]
    if name in known and (same or path == f'{SCOPE}.{name}'):
        return name
    return kind


def to_plain(value, where: str):
    """Convert a value of a config to what JSON can hold.

    Raises:
        UserError: If it is code or an object.
    """
    if isinstance(value, Mapping):
        wrong = [k for k in value if not isinstance(k, str) or k == TUPLE]
        if wrong:
            raise not_data(where, f'the key {wrong[0]!r}')
        return {k: to_plain(v, f'{where}.{k}') for k, v in value.items()}
    if isinstance(value, list | tuple):
        items = [to_plain(v, f'{where}.{i}') for i, v in enumerate(value)]
        return {TUPLE: items} if isinstance(value, tuple) else items
    if isinstance(value, str):
        return without_folder(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise not_data(where, repr(value)[:60])


def not_data(where: str, what: str) -> UserError:
    """Make the error of a part of a config that JSON cannot hold."""
    return UserError(
        f'{where} of the config is {what}, which is no data; wanted: dicts '
        'with names as keys, lists, strings and finite numbers; replace it '
        'by a registered class and its arguments'
    )


def without_folder(text: str) -> str:
    """Cut an absolute path to its last part; other text is unchanged."""
    if text.startswith(('/', '~/')) and '\n' not in text:
        return PurePosixPath(text).name
    if ntpath.splitdrive(text)[0] and ntpath.isabs(text):
        return ntpath.basename(text)
    return text


def from_data(value):
    """Reverse :func:`to_plain`, but for the paths."""
    if isinstance(value, dict):
        if value.keys() == {TUPLE}:
            return tuple(map(from_data, value[TUPLE]))
        return {k: from_data(v) for k, v in value.items()}
    return [from_data(v) for v in value] if isinstance(value, list) else value


def check_data(data, source: str):
    """Check that building from a config of somebody else runs no code of
    theirs: every ``type`` is a registered class of :data:`PACKAGES`.

    MMEngine imports the module of a type that is not registered, such as
    ``os.system``, and the package of a scope.

    Args:
        data: What the JSON file holds.
        source: The file, for the error.

    Raises:
        UserError: With what the config names.
    """
    if not isinstance(data, dict) or not isinstance(data.get('model'), dict):
        raise UserError(
            f'{source} has no model; give a folder that '
            'tools/package_model.py wrote'
        )
    # Any part may be a recognizer, also a backbone.
    if any(entries_of(data['model'], ('teacher',), source)):
        raise UserError(
            f'{source} has a teacher, whose config may be code; it was '
            'refused; package the student'
        )
    wrong = next((key for key in RESERVED if key in data), None)
    if wrong:
        raise UserError(
            f'{source} has the key {wrong!r}, which is no part of a config; '
            'it was refused; package the model again'
        )
    for key, wanted in (('default_scope', SCOPE), ('custom_imports', IMPORTS)):
        if data.get(key, wanted) != wanted:
            raise UserError(
                f'{source} sets {key} to {str(data[key])[:80]}; wanted: '
                f'{wanted}, since a config must not import other packages; '
                'it was refused, and nothing was imported'
            )
    check_types(data, known_types(), source)


def check_types(data, known: Mapping[str, str], where: str):
    """
    Raises:
        UserError: If a type is not in ``known``, or a scope is another.
    """
    for path, key, value in entries_of(data, ('type', '_scope_'), where):
        if key == '_scope_':
            allowed = value in (SCOPE, 'mmengine')
        else:
            allowed = isinstance(value, str) and value in known
        if not allowed:
            raise UserError(
                f'{path} names {str(value)[:60]!r}, which is not registered '
                'in MMAction2 or dvfl_mmaction; it was refused, and nothing '
                "was imported; a packaged config takes MMAction2's and this "
                "project's classes only"
            )


def entries_of(
    data, keys: tuple[str, ...], where: str
) -> Iterator[tuple[str, str, object]]:
    """Yield path, key and value of every entry with one of these keys."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in keys:
                yield f'{where}: {key}', key, value
            yield from entries_of(value, keys, f'{where}.{key}')
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from entries_of(value, keys, f'{where}.{i}')


def known_types() -> dict[str, str]:
    """Names in MMAction2's registries and their parents, with the module.

    Of equal names that of MMAction2 counts, as in its scope.
    """
    register_all_modules(init_default_scope=False)
    found = {}
    for registry in vars(mmaction_registries).values():
        while isinstance(registry, Registry):
            for name, built in registry.module_dict.items():
                module = getattr(built, '__module__', '')
                if module.partition('.')[0] in PACKAGES:
                    found.setdefault(name, module)
            registry = registry.parent
    return found
