"""The order of the classes of teacher and student, compared by name."""

from collections.abc import Mapping

from mmengine.logging import print_log
from mmengine.runner import Runner

from ..datasets.class_names import class_names_beside
from ..datasets.class_names import read_class_names as read_class_names
from ..engine.config_checks import annotation_files, nested_datasets
from ..errors import UserError


def class_names_of(metainfo) -> list[str] | None:
    """Names in the meta information of a data set; None if there are none."""
    if not isinstance(metainfo, Mapping):
        return None
    names = metainfo.get('classes', metainfo.get('CLASSES'))
    if isinstance(names, list | tuple) and names:
        return [str(name) for name in names]
    return None


def configured_class_names(config: dict) -> list[str] | None:
    """Names that a config gives: ``metainfo``, or the ``classes.txt`` beside
    the list of the training clips."""
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    for leaf in nested_datasets(dataset):
        if names := class_names_of(leaf.get('metainfo')):
            return names
    for path, _ in annotation_files(dataset):
        if names := class_names_beside(path):
            return names
    return None


def training_class_names(runner: Runner) -> list[str] | None:
    """Names of the classes that a runner trains."""
    dataset = runner.train_dataloader.dataset
    names = class_names_of(getattr(dataset, 'metainfo', None))
    return names or configured_class_names(runner.cfg)


def match_classes(
    teacher: list[str] | None, student: list[str] | None, name: str
) -> list[int] | None:
    """Positions of the student's classes among the teacher's.

    Args:
        teacher: Names of the teacher's classes; None if unknown.
        student: Names of the student's classes; None if unknown.
        name: The teacher's name, for the error.

    Returns:
        None if nothing is to be changed: the order is the same, or one side
        has no names, or a name twice.

    Raises:
        UserError: If a class of the student is unknown to the teacher.
    """
    if not teacher or not student or teacher == student:
        return None
    unknown = [label for label in student if label not in set(teacher)]
    if unknown:
        raise UserError(
            f'the teacher {name} has other classes than the student: it '
            f'lacks {len(unknown)} of {len(student)}, such as '
            f'{unknown[0]!r} (its first is {teacher[0]!r}); '
            "give a teacher trained on the student's classes"
        )
    if len(set(teacher)) < len(teacher) or len(set(student)) < len(student):
        return None
    print_log(
        f'the teacher {name} has the classes in another order (its first is '
        f'{teacher[0]!r}, not {student[0]!r}); its logits are reordered',
        logger='current',
    )
    places = {label: place for place, label in enumerate(teacher)}
    return [places[label] for label in student]
