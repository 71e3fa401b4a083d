"""Draw what the students of real clips reach by the number of labels.

Run ``python docs/make_results_figure.py`` to write
docs/pictures/real_clips.png anew from the results in docs/results.
"""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from dvfl_mmaction.analysis.ablation.comparing import find_group
from dvfl_mmaction.analysis.ablation.pooling import pool
from dvfl_mmaction.analysis.ablation.reading import read_results
from dvfl_mmaction.analysis.ablation.results import Group, group_runs
from dvfl_mmaction.errors import UserError

DOCS = Path(__file__).resolve().parent
FILES = {
    '1': ('one_label_losses', 'one_label_kl'),
    '3': ('three_labels',),
    'all': ('all_labels',),
}
# What the names of the settings have in common with those of the files.
STUDENTS = {
    'KL 0.7/4': 'temperature=4',
    'DIST': 'DISTLoss',
    'KL 0.3/10': 'temperature=10',
    'alone': 'alone',
}
STYLES = {
    'KL 0.7/4': ('o', '#0072b2'),
    'DIST': ('s', '#009e73'),
    'KL 0.3/10': ('^', '#d55e00'),
    'alone': ('D', '#666666'),
}


def read_students() -> dict[str, dict[str, Group]]:
    """The students by setting, then by labels per class."""
    found = {student: {} for student in STUDENTS}
    for labels, names in FILES.items():
        files = [DOCS / 'results' / f'{name}.json' for name in names]
        groups = group_runs(pool(read_results(files), 'folds'))
        for student, part in STUDENTS.items():
            try:
                found[student][labels] = find_group(groups, part)
            except UserError:
                continue  # not trained with these labels
    return found


def read_teacher() -> Group:
    """The teacher that had all labels."""
    entries = read_results([DOCS / 'results' / 'all_labels.json'])
    return find_group(group_runs(pool(entries, 'folds')), 'teacher')


def draw(students: dict[str, dict[str, Group]], teacher: Group) -> Figure:
    """Top-1 by labels per class: a line per setting, with its deviation."""
    figure = Figure(figsize=(7, 3.2), facecolor='white', layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for i, (student, groups) in enumerate(students.items()):
        marker, color = STYLES[student]
        axes.errorbar(
            [
                list(FILES).index(labels) + 0.04 * (i - 1.5)
                for labels in groups
            ],
            [100 * group.mean('top1') for group in groups.values()],
            [100 * group.spread('top1') for group in groups.values()],
            label=student,
            color=color,
            marker=marker,
            capsize=3,
        )
    axes.axhline(
        100 * teacher.mean('top1'),
        color='black',
        linestyle='--',
        label='teacher, all labels',
    )
    axes.set_xticks(range(len(FILES)), FILES)
    axes.set(xlabel='labels per class', ylabel='top-1, %', ylim=(40, 95))
    axes.grid(axis='y', alpha=0.3)
    figure.legend(loc='outside right upper', frameon=False)
    return figure


def main():
    path = DOCS / 'pictures' / 'real_clips.png'
    draw(read_students(), read_teacher()).savefig(path, dpi=110)
    # A palette, which is a third of the size.
    with Image.open(path) as picture:
        small = picture.convert('RGB').quantize(dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == '__main__':
    main()
