"""Measure speed and memory of the models on this machine, side by side.

Writes benchmark.json, benchmark.md and benchmark.png to a folder. Models
take turns, so that a slow moment of the machine meets all of them.

Examples:
    python tools/benchmark.py --to benchmark
    python tools/benchmark.py --to benchmark --device cuda --batch-size 8
    python tools/benchmark.py --to demo --dataset demo --peer PEER_CONFIG.py
"""

import argparse
from pathlib import Path

import torch

import dvfl_mmaction  # noqa: F401, registers the models
from dvfl_mmaction.analysis.benchmark import Entry, run_benchmark
from dvfl_mmaction.analysis.benchmark_report import draw, markdown
from dvfl_mmaction.errors import UserError, print_user_errors
from dvfl_mmaction.files import write_json

MODELS = (
    ('Video-FocalNet-T', 'videofocalnet_tiny', None),
    ('Video-FocalNet-S', 'videofocalnet_small', None),
    ('Video-FocalNet-B', 'videofocalnet_base', None),
    ('VFL-Net', 'vflnet', None),
    ('DVFL-Net, teacher online', 'vflnet_kd', 'online'),
    ('DVFL-Net, teacher recorded', 'vflnet_kd', 'recorded'),
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--to', type=Path, required=True, help='folder')
    parser.add_argument('--dataset', default='ucf101', help='of the configs')
    parser.add_argument(
        '--models',
        nargs='+',
        choices=[name for _, name, _ in MODELS],
        help='only these',
    )
    parser.add_argument(
        '--peer', nargs='+', default=[], help='configs of other models'
    )
    parser.add_argument('--device', default='cpu', choices=('cpu', 'cuda'))
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument(
        '--batch-size', type=int, default=1, help='clips of a training step'
    )
    parser.add_argument('--forwards', type=int, default=15)
    parser.add_argument('--steps', type=int, default=5, help='0 for none')
    args = parser.parse_args()
    for name, least in (
        ('threads', 1),
        ('batch_size', 1),
        ('forwards', 1),
        ('steps', 0),
    ):
        if getattr(args, name) < least:
            parser.error(f'--{name.replace("_", "-")} wants {least} or more')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('there is no CUDA device here; leave out --device')
    return args


def main():
    args = parse_args()
    configs = Path(__file__).resolve().parents[1] / 'configs'
    entries = [
        Entry(title, str(configs / f'{name}_{args.dataset}.py'), teacher)
        for title, name, teacher in MODELS
        if not args.models or name in args.models
    ]
    entries += [Entry(Path(p).stem, p) for p in args.peer]
    results = run_benchmark(
        entries,
        args.device,
        args.threads,
        args.batch_size,
        args.forwards,
        args.steps,
        tell=lambda line: print(line, flush=True),
    )
    for model in results['models']:
        model['config'] = Path(model['config']).name
    args.to.mkdir(parents=True, exist_ok=True)
    write_json(args.to / 'benchmark.json', results)
    text = markdown(results)
    (args.to / 'benchmark.md').write_text(text + '\n', encoding='utf-8')
    draw(results, args.to / 'benchmark.png')
    print(f'\n{text}\n\nwritten to {args.to}')


if __name__ == '__main__':
    print_user_errors()
    main()
