"""Markdown tables."""


def align(rows: list[tuple[str, ...]]) -> str:
    """Format rows of cells as a Markdown table; the first is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '| ' + ' | '.join(map(str.ljust, row, widths)) + ' |' for row in rows
    ]
    lines.insert(1, '|' + '|'.join('-' * (w + 2) for w in widths) + '|')
    return '\n'.join(lines)
