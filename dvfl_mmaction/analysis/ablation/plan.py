"""The runs of an ablation: folders, configs and shared recordings."""

import copy
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pprint import pformat

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ...engine.config_checks import nested_datasets, type_name
from ...engine.schedule_options import apply_schedule
from ...errors import UserError
from ...files import write_whole
from ...project_paths import find_file
from ..complexity import build_model
from .axes import LOSS, LOSS_KD
from .settings import Setting, is_distillation, resolve

# What does not change the clips that a teacher sees.
NOT_OF_STREAM = (
    'epochs',
    'warmup_epochs',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'val_cfg',
    'val_dataloader',
    'val_evaluator',
    'val_pipeline',
    'test_cfg',
    'test_dataloader',
    'test_evaluator',
    'test_pipeline',
    'test_views',
    'default_hooks',
    'custom_hooks',
    'log_processor',
    'log_level',
    'visualizer',
    'vis_backends',
)
TESTED = ('type', 'backbone', 'neck', 'cls_head')
OF_STUDENT = ('alpha', 'loss_kd', 'backbone', 'neck', 'cls_head')


@dataclass
class Run:
    """One training and test, or the test of a teacher.

    Attributes:
        name: Name of the setting.
        config: Name of its config.
        kind: ``'distilled'``, ``'alone'`` or ``'teacher'``.
        labels: Value of each axis.
        options: Values by config key.
        seed: Random seed; None for a teacher.
        digest: Hash of the setting's config, without the seed.
        folder: Folder of the run; it holds ``config.py``.
        parameters: Of the tested model.
        axes: Keys, values and source of each axis, and ``rest``, a hash of
            the config without the keys.
        checkpoint: Weights to test instead of a training.
        teacher: Folder of the teacher's test.
        recording: Folder of the teacher's recording, if shared.
        recorded_epochs: Epochs of that recording.
    """

    name: str
    config: str
    kind: str
    labels: dict
    options: dict
    seed: int | None
    digest: str
    folder: str
    parameters: int
    axes: dict = field(default_factory=dict)
    checkpoint: str | None = None
    teacher: str | None = None
    recording: str | None = None
    recorded_epochs: int | None = None

    def describe(self) -> dict:
        """What results tell about the run, as plain values."""
        about = asdict(self)
        for key in ('checkpoint', 'recorded_epochs'):
            del about[key]
        return about

    @property
    def title(self) -> str:
        """Name and seed."""
        return self.name + ('' if self.seed is None else f' seed {self.seed}')


def digest_of(values: dict) -> str:
    """Hash of the values of a config, without its seed and work folder."""
    values = copy.deepcopy(values)
    values.pop('work_dir', None)
    if values.get('randomness'):
        values['randomness'].pop('seed', None)
        if not values['randomness']:
            del values['randomness']
    text = json.dumps(plain(values), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def without(values: dict, keys: Sequence[str]) -> dict:
    """The values of a config without those of some keys."""
    values = copy.deepcopy(values)
    for key in keys:
        # A loss of another type has other arguments.
        *parts, last = (LOSS_KD if key == LOSS else key).split('.')
        part = values
        for name in parts:
            if isinstance(part, list | tuple):
                part = {str(i): item for i, item in enumerate(part)}
            part = part.get(name) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part.pop(last, None)
        elif isinstance(part, list) and last.isdigit():
            part[int(last)] = None
    return values


def plain(values):
    """Nested values with 5.0 as 5, which are equal but differ as text."""
    if isinstance(values, dict):
        return {key: plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain(value) for value in values]
    if isinstance(values, float) and values.is_integer():
        return int(values)
    return values


def folder_name(name: str, digest: str) -> str:
    """Name of a setting's folder; the digest makes it unique."""
    safe = re.sub(r'[^\w.=-]+', '_', name)[:100]
    # File systems limit the bytes of a name, to 255.
    return safe.encode()[:200].decode(errors='ignore') + '-' + digest


def plan_runs(
    settings: Sequence[Setting], seeds: Sequence[int], out: Path
) -> tuple[list[Run], list[str]]:
    """Make the runs of all settings and seeds, teachers first.

    A setting is identified by the values of its config. A folder of the
    same values is used again, whatever its name. Folders and their
    ``config.py`` are written.

    Args:
        settings: The settings.
        seeds: Their seeds.
        out: Folder of the ablation.

    Returns:
        The runs, and a line per setting whose teacher cannot be recorded.
    """
    runs, configs, notes, teachers = [], [], {}, {}
    known = {p.name.rpartition('-')[2]: p for p in (out / 'runs').glob('*-*')}
    parameters = {}
    planned = set()
    for setting in settings:
        values = resolve(setting).to_dict()
        digest = digest_of(values)
        if digest in planned:
            continue
        planned.add(digest)
        default = out / 'runs' / folder_name(setting.name, digest)
        folder = known.get(digest, default)
        axes = {
            name: about | dict(rest=digest_of(without(values, about['keys'])))
            for name, about in setting.axes.items()
        }
        for seed in seeds:
            cfg = resolve(setting, seed)
            parts = [cfg.model.get(part) for part in TESTED]
            model = json.dumps(parts, sort_keys=True, default=str)
            if model not in parameters:
                parameters[model] = count_parameters(cfg)
            distils = is_distillation(cfg)
            run = Run(
                name=setting.name,
                config=Path(setting.config).stem,
                kind='distilled' if distils else 'alone',
                labels=setting.labels,
                options=setting.options,
                axes=axes,
                seed=seed,
                digest=digest,
                folder=str(folder / f'seed_{seed}'),
                parameters=parameters[model],
            )
            if distils:
                run.teacher = plan_teacher(cfg, out, teachers)
            runs.append(run)
            configs.append(cfg)
    share_recordings(runs, configs, out, notes)
    for run, cfg in zip(runs, configs, strict=True):
        write_config(cfg, run)
    return [*teachers.values(), *runs], list(notes.values())


def write_config(cfg: Config, run: Run):
    """Write the config of a run into its folder.

    With a shared recording ``config.py`` reads it, and ``online.py`` is the
    config to record with.
    """
    folder = Path(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if run.recording:
        write_whole(folder / 'online.py', config_text(cfg))
        cfg.model.teacher.type = 'RecordedTeacher'
        cfg.model.teacher.path = run.recording
    write_whole(folder / 'config.py', config_text(cfg))


def config_text(cfg: Config) -> str:
    """A config as Python; MMEngine's formatter takes half a second."""
    values = cfg.to_dict().items()
    lines = (f'{k} = {pformat(v, sort_dicts=False)}\n' for k, v in values)
    return ''.join(lines)


def count_parameters(cfg: Config) -> int:
    """Parameters of the tested model."""
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    return sum(p.numel() for p in build_model(cfg).parameters())


def plan_teacher(cfg: Config, out: Path, teachers: dict) -> str | None:
    """Plan the test of a teacher on the clips of a run.

    Args:
        cfg: The config of a distillation.
        out: Folder of the ablation.
        teachers: Planned tests by folder; gets this one.

    Returns:
        The folder of the test; None if the teacher is not a file's config,
        with test data, and its weights, and so cannot be tested by itself.
    """
    teacher = cfg.model.teacher
    if not is_recordable(teacher) or not isinstance(teacher.config, str):
        return None
    path = find_file(teacher.config)
    if path is None or 'test_dataloader' not in cfg:
        return None
    tested = Config.fromfile(str(path))
    if 'test_dataloader' not in tested:
        return None
    use_clips(tested.test_dataloader, cfg.test_dataloader.dataset)
    values = dict(tested.to_dict(), checkpoint=teacher.checkpoint)
    digest = digest_of(values)
    name = f'teacher {path.stem}'
    folder = str(out / 'teachers' / folder_name(path.stem, digest))
    if folder not in teachers:
        teachers[folder] = Run(
            name=name,
            config=path.stem,
            kind='teacher',
            labels={},
            options={'checkpoint': teacher.checkpoint},
            seed=None,
            digest=digest,
            folder=folder,
            parameters=count_parameters(tested),
            checkpoint=teacher.checkpoint,
        )
        write_config(tested, teachers[folder])
    return folder


def use_clips(loader: dict, dataset: dict):
    """Give a teacher's loader the clips of a student's data set.

    The pipeline stays the teacher's.

    Args:
        loader: Config of the teacher's loader; changed.
        dataset: Config of the student's data set. It, or the teacher's, may
            wrap others (``ConcatDataset``).
    """
    own = loader.dataset
    if not any(len(list(nested_datasets(d))) > 1 for d in (own, dataset)):
        for key in ('data_root', 'ann_file', 'data_prefix', 'delimiter'):
            own.pop(key, None)
            if key in dataset:
                own[key] = dataset[key]
        return
    pipelines = [d.pipeline for d in nested_datasets(own) if 'pipeline' in d]
    loader.dataset = copy.deepcopy(dataset)
    for part in nested_datasets(loader.dataset):
        if 'pipeline' in part and pipelines:
            part.pipeline = pipelines[0]


def is_recordable(teacher: dict) -> bool:
    """Whether it is one frozen teacher with its weights."""
    return (
        isinstance(teacher, dict)
        and teacher.get('type', 'FrozenTeacher') == 'FrozenTeacher'
        and 'record_to' not in teacher
        and bool(teacher.get('config'))
        and bool(teacher.get('checkpoint'))
    )


def share_recordings(
    runs: Sequence[Run], configs: Sequence[Config], out: Path, notes: dict
):
    """Have runs that show their teacher the same clips share a recording.

    A recording has the epochs of its longest run. Where one run alone would
    use it, the teacher works during the training.

    Args:
        runs: Get their ``recording`` and ``recorded_epochs``.
        configs: Their configs.
        out: Folder of the ablation.
        notes: By setting, why its teacher cannot be recorded; filled.
    """
    groups = defaultdict(list)
    for run, cfg in zip(runs, configs, strict=True):
        if run.kind != 'distilled':
            continue
        reason = why_not_recorded(cfg)
        if reason:
            notes[run.name] = f'{run.name}: teacher not shared, {reason}'
            continue
        groups[stream_of(cfg)].append((run, epochs_of(cfg)))
    for stream, members in groups.items():
        seed = members[0][0].seed
        folder = out / 'recordings' / f'seed_{seed}-{stream}'
        if len(members) == 1 and not folder.is_dir():
            continue
        for run, _ in members:
            run.recording = str(folder)
            run.recorded_epochs = max(epochs for _, epochs in members)


def why_not_recorded(cfg: Config) -> str | None:
    """The reason why a teacher cannot be recorded, if any."""
    teacher = cfg.model.teacher
    if not is_recordable(teacher):
        kind = 'several' if isinstance(teacher, list | tuple) else None
        kind = kind or teacher.get('type', 'its config')
        return f'it is not one frozen teacher with its weights ({kind})'
    if type_name(cfg.get('train_cfg') or {}) != 'StreamTrainLoop':
        return "train_cfg.type is not 'StreamTrainLoop'"
    if epochs_of(cfg) is None:
        return 'the training counts iterations, not epochs'
    return None


def epochs_of(cfg: Config) -> int | None:
    """Epochs of a training; None if it counts iterations."""
    applied = copy.deepcopy(cfg)
    try:
        apply_schedule(applied)
    except UserError:
        return None  # the run reports it
    return applied.train_cfg.get('max_epochs')


def stream_of(cfg: Config) -> str:
    """Hash of what may change the clips that a teacher sees.

    It errs towards more recordings: a run checks that its recording fits.
    """
    values = cfg.to_dict()
    for key in NOT_OF_STREAM:
        values.pop(key, None)
    for key in OF_STUDENT:
        values['model'].pop(key, None)
    values.pop('work_dir', None)
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
