"""A data set with unusual and broken clips, and a config to test on it."""

from pathlib import Path

from hostile_clips import write_broken, write_readable
from small_recipe import (
    NUM_CLASSES,
    recipe,
    recognizer,
    write_dataset,
    write_teacher,
)

from dvfl_mmaction.datasets.annotations import (
    Annotations,
    read_annotations,
    write_annotations,
)

HOOKS = dict(
    broken_clips=dict(type='BrokenClipsHook'), results=dict(type='ResultsHook')
)


def write_faulty_dataset(folder: Path):
    """Write readable and broken clips, their lists, and a checkpoint.

    Returns:
        The folder, and (name, label) of the readable and the broken clips.
    """
    folder = write_dataset(folder, clips_per_class=8)
    whole = read_annotations(folder / 'list.txt').clips
    for name in write_readable(folder):
        if name not in dict(whole) and name.endswith(('.mp4', '.mkv')):
            whole.append((name, len(whole) % NUM_CLASSES))
    (folder / 'broken').mkdir()
    broken = [(f'broken/{n}', 1) for n in write_broken(folder / 'broken')]
    header = dict(dataset='mine', split='paper')
    (folder / 'classes.txt').write_text('left\nright\nup\ndown it goes\n')
    write_annotations(folder / 'list.txt', Annotations(whole, header))
    write_annotations(
        folder / 'mixed.txt',
        Annotations(whole[:5] + broken + whole[5:], header),
    )
    write_teacher(folder / 'model.pth', config=recognizer())
    return folder, whole, broken


def faulty_recipe(data, work_dir, ann_file='mixed.txt', **loader):
    """A recipe for such a data set; ``loader`` changes every data loader."""
    folder, *_ = data
    config = recipe(
        recognizer(),
        folder,
        work_dir,
        default_hooks=HOOKS,
        load_from=str(folder / 'model.pth'),
    )
    for name in ('test_dataloader', 'train_dataloader', 'val_dataloader'):
        config[name].update(loader)
        config[name]['dataset'].update(ann_file=ann_file)
    config['test_dataloader']['dataset'].update(test_mode=True)
    return config
