"""Draw the README's picture: the model, its operator and the distillation.

Run ``python docs/make_figures.py`` to write docs/overview.png anew.
"""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

TEACHER = '#dde3ea'
STUDENT = '#d5e8d4'
SPACE = '#dae8fc'
TIME = '#fde6cc'
LOSS = '#f8d7d5'
PLAIN = '#ffffff'
EDGE = '#333333'


def new_figure(width, height):
    """A white canvas of ``width`` x ``height`` units, ten units per inch."""
    figure = Figure(figsize=(width / 10, height / 10), facecolor='white')
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def draw_box(axes, left, bottom, width, height, text, color=PLAIN, size=10.5):
    """A box with rounded corners and centred text."""
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom),
            width,
            height,
            boxstyle='round,pad=0,rounding_size=0.8',
            facecolor=color,
            edgecolor=EDGE,
            linewidth=1,
        )
    )
    axes.text(
        left + width / 2,
        bottom + height / 2,
        text,
        ha='center',
        va='center',
        fontsize=size,
        linespacing=1.25,
    )


def draw_arrow(axes, *points):
    """A line through the points, with a head at the last."""
    style = dict(color=EDGE, linewidth=1.2)
    if len(points) > 2:
        axes.plot(*zip(*points[:-1], strict=True), **style)
    axes.annotate(
        '',
        points[-1],
        points[-2],
        arrowprops=dict(
            arrowstyle='-|>',
            mutation_scale=8,
            shrinkA=0,
            shrinkB=0,
            **style,
        ),
    )


def draw_clip(axes, left, bottom, size):
    """A stack of frames."""
    for i in range(4):
        corner = (left + 0.9 * (3 - i), bottom + 0.9 * (3 - i))
        axes.add_patch(
            Rectangle(corner, size, size, facecolor='#f4f4f4', edgecolor=EDGE)
        )


def draw_distillation(axes):
    """Upper half: teacher, student and losses."""
    draw_clip(axes, 1.5, 46.5, 7)
    axes.text(6.3, 45.2, 'clip of T frames', ha='center', va='top', size=10.5)

    draw_box(
        axes, 17, 58, 51, 7,
        'teacher: Video-FocalNet-B, frozen, 157 M parameters\n'
        'same layout, 2 / 2 / 18 / 2 blocks',
        TEACHER,
    )  # fmt: skip
    draw_box(axes, 17, 39, 51, 15, '', STUDENT)
    axes.text(
        42.5, 51.4, 'student: VFL-Net, 22 M parameters, 1 / 1 / 2 / 1 blocks',
        ha='center', va='center', size=10.5,
    )  # fmt: skip
    draw_box(axes, 18, 41, 10.6, 8, 'patch\nembedding')
    for i in range(4):
        left = 30.4 + 7.5 * i
        draw_box(axes, left, 41, 5.8, 8, f'stage\n{i + 1}')
        draw_arrow(axes, (left - 1.7, 45), (left, 45))
    draw_arrow(axes, (58.7, 45), (60.4, 45))
    draw_box(axes, 60.4, 41, 6.4, 8, 'head')

    draw_arrow(axes, (12, 51), (14.5, 51), (14.5, 61.5), (17, 61.5))
    draw_arrow(axes, (14.5, 51), (14.5, 45), (17, 45))

    draw_box(axes, 77, 57, 22, 8, 'KL divergence\ntemperature 10', LOSS)
    draw_box(axes, 77, 41, 22, 8, 'cross-entropy\nwith the label', LOSS)
    draw_arrow(axes, (68, 61.5), (77, 61.5))
    axes.text(72.5, 62.2, 'logits', ha='center', va='bottom', size=10)
    draw_arrow(axes, (68, 45), (77, 45))
    axes.text(72.5, 44.2, 'logits', ha='center', va='top', size=10)
    draw_arrow(axes, (72.5, 45), (72.5, 58.7), (77, 58.7))
    axes.text(
        88, 53, '0.3 · KL  +  0.7 · CE', ha='center', va='center',
        size=11.5, weight='bold',
    )  # fmt: skip
    draw_arrow(axes, (88, 57), (88, 54.5))
    draw_arrow(axes, (88, 49), (88, 51.5))


def draw_branch(axes, bottom, texts, color):
    """Levels, gated sum and projection of one branch."""
    draw_box(axes, 19, bottom, 25, 9, texts[0], color)
    draw_box(axes, 49, bottom, 18, 9, texts[1], color)
    draw_box(axes, 72, bottom, 8, 9, texts[2], color)
    middle = bottom + 4.5
    draw_arrow(axes, (44, middle), (49, middle))
    draw_arrow(axes, (67, middle), (72, middle))


def draw_operator(axes):
    """Lower half: spatio-temporal focal modulation."""
    axes.add_patch(
        Rectangle(
            (0.7, 2.2), 98.6, 32.7, facecolor='none', edgecolor='#888888',
            linestyle='--',
        )
    )  # fmt: skip
    axes.plot((30.4, 0.7), (41, 34.9), color='#888888', linestyle=':')
    axes.plot((58.7, 99.3), (41, 34.9), color='#888888', linestyle=':')
    axes.text(
        50, 32.4, 'Spatio-temporal focal modulation, in every block '
        '(an MLP follows)', ha='center', va='center', size=11,
        weight='bold',
    )  # fmt: skip
    draw_box(axes, 2, 11.5, 12, 9, 'features\nof the clip,\nnormalised')
    axes.text(16.5, 29.6, 'query', ha='left', va='center', size=10)
    draw_branch(
        axes, 17.5,
        ('space: depthwise 3×3,\nthen 5×5,\nthen the mean of the frame',
         'sum of the levels,\nweighted by gates\nfrom the features', '1×1'),
        SPACE,
    )  # fmt: skip
    draw_branch(
        axes, 4.5,
        ('time: convolutions over 3,\nthen 5 frames,\nthen the mean of all',
         'sum of the levels,\nweighted by gates\nfrom the features', '1×1'),
        TIME,
    )  # fmt: skip
    draw_arrow(axes, (14, 16), (16, 16), (16, 22), (19, 22))
    draw_arrow(axes, (16, 16), (16, 9), (19, 9))
    draw_box(axes, 84, 12.5, 5, 7, '×', size=15)
    draw_arrow(axes, (16, 22), (16, 28), (86.5, 28), (86.5, 19.5))
    draw_arrow(axes, (80, 22), (82, 22), (82, 17.5), (84, 17.5))
    draw_arrow(axes, (80, 9), (82, 9), (82, 14.5), (84, 14.5))
    draw_box(axes, 91, 11.5, 7.3, 9, 'linear,\n+ input', size=10)
    draw_arrow(axes, (89, 16), (91, 16))


def draw_overview():
    """The figure of the README."""
    figure, axes = new_figure(100, 67)
    draw_distillation(axes)
    draw_operator(axes)
    return figure


def main():
    path = Path(__file__).parent / 'overview.png'
    draw_overview().savefig(path, dpi=150)
    print(f'wrote {path}')


if __name__ == '__main__':
    main()
