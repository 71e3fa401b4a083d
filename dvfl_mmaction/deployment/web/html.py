"""Parts of the page as HTML; names are escaped."""

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from ...analysis.prediction.bars import top_classes
from .model import Timeline

STYLE = """
.models {display: flex; flex-wrap: wrap; gap: 24px}
.models > section {flex: 1 1 260px; min-width: 0}
.models h3 {margin: 0 0 6px; font-size: 15px; overflow-wrap: anywhere}
.bar {position: relative; margin: 4px 0; border-radius: 4px; height: 28px;
  background: var(--background-fill-secondary); overflow: hidden;
  border: 1px solid var(--border-color-primary)}
.bar > i {position: absolute; inset: 0 auto 0 0; background: #9cc4ec}
.dark .bar > i {background: #1f68b2}
.bar > span {position: absolute; inset: 0; padding: 0 8px; display: flex;
  justify-content: space-between; gap: 8px; align-items: center;
  color: var(--body-text-color); font-size: 14px}
.bar b {font-weight: 500; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap}
.note {color: var(--body-text-color); opacity: 0.75; font-size: 13px;
  margin: 4px 0}
.problem {border: 1px solid #c2410c; border-left-width: 6px; padding: 10px;
  border-radius: 4px; overflow-wrap: anywhere}
.track {position: relative; height: 30px; border-radius: 4px; margin: 6px 0;
  background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); overflow: hidden}
.track > div {position: absolute; top: 0; bottom: 0; font-size: 12px;
  color: #111; overflow: hidden; white-space: nowrap; line-height: 28px;
  text-overflow: ellipsis; padding-left: 4px; border-right: 1px solid #fff}
.times {display: flex; justify-content: space-between}
.segments {margin: 0; padding: 0; list-style: none; font-size: 14px}
.segments li {margin: 2px 0}
.segments i {display: inline-block; width: 12px; height: 12px;
  border-radius: 3px; margin-right: 6px}
"""
# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = (
    *('#56b4e9', '#e69f00', '#33b58f', '#f0e442'),
    *('#cc79a7', '#d9783c', '#7fa8d6', '#bbbbbb'),
)


def problem(text: str) -> str:
    """A message that something is wrong."""
    return f'<div class="problem" role="alert">{escape(text)}</div>'


def note(text: str) -> str:
    """A line of small print."""
    return f'<p class="note">{escape(text)}</p>'


def bars(
    title: str,
    scores: np.ndarray,
    name_of: Callable[[int], str],
    top: int,
    text: str,
) -> str:
    """The most probable classes of a model.

    Args:
        title: Name of the model.
        scores: (K,) probabilities.
        name_of: Names the classes.
        top: Number of classes.
        text: A line below them.
    """
    rows = []
    for index in top_classes(scores, top):
        name, share = escape(name_of(index)), 100 * float(scores[index])
        rows.append(
            f'<div class="bar" title="{name}"><i style="width:{share:.4f}%">'
            f'</i><span><b>{name}</b><span>{share:.1f} %</span></span></div>'
        )
    return (
        f'<section><h3>{escape(title)}</h3>{"".join(rows)}{note(text)}'
        '</section>'
    )


def side_by_side(sections: Sequence[str]) -> str:
    """Sections of models; below each other where there is no room."""
    return f'<div class="models">{"".join(sections)}</div>'


def timeline(
    title: str, found: Timeline, name_of: Callable[[int], str]
) -> str:
    """The segments of a clip along its time, and as a list."""
    head = f'<section><h3>{escape(title)}</h3>'
    if found.segments is None:
        share = min(1.0, found.reached_s / found.end_s)
        text = f'classifying: {100 * share:.0f} % of {found.end_s:.1f} s'
        return f'{head}{note(text)}</section>'
    blocks, lines = [], []
    for s in found.segments:
        name = escape(name_of(s.label))
        colour = COLOURS[s.label % len(COLOURS)]
        begin = 100 * s.start_s / found.end_s
        width = 100 * (s.end_s - s.start_s) / found.end_s
        text = (
            f'{s.start_s:.1f} – {s.end_s:.1f} s: {name} '
            f'({100 * s.score:.0f} %)'
        )
        blocks.append(
            f'<div title="{text}" style="left:{begin:.3f}%;'
            f'width:{width:.3f}%;background:{colour}">{name}</div>'
        )
        lines.append(f'<li><i style="background:{colour}"></i>{text}</li>')
    if not lines:
        lines.append('<li>No class is probable for long enough.</li>')
    return (
        f'{head}<div class="track">{"".join(blocks)}</div>'
        f'<div class="note times"><span>0 s</span>'
        f'<span>{found.end_s:.1f} s</span></div>'
        f'<ul class="segments">{"".join(lines)}</ul>'
        f'{note(f"classified in {found.spent_s:.1f} s")}</section>'
    )
