"""Compare the speed and memory of the models on this machine.

Writes benchmark.json, benchmark.md and benchmark.png to a folder. The models
are measured in turns, so that a slow moment of the machine affects each.

Examples:
    python tools/benchmark.py --to benchmark
    python tools/benchmark.py --to benchmark --device cuda --batch-size 8
    python tools/benchmark.py --to fp16 --device cuda --batch-size 8 \\
        --models vflnet_kd --released --amp fp16 --forwards 50 --steps 30
    python tools/benchmark.py --to demo --dataset demo --peer PEER_CONFIG.py
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

import dvfl_mmaction  # noqa: F401, registers the models
from dvfl_mmaction.analysis.benchmark import run_benchmark
from dvfl_mmaction.analysis.benchmark_report import draw, markdown
from dvfl_mmaction.analysis.timed_model import Entry
from dvfl_mmaction.errors import UserError, print_user_errors
from dvfl_mmaction.files import check_writable, write_json
from dvfl_mmaction.tool_options import check_least

MODELS = (
    ('Video-FocalNet-T', 'videofocalnet_tiny', None),
    ('Video-FocalNet-S', 'videofocalnet_small', None),
    ('Video-FocalNet-B', 'videofocalnet_base', None),
    ('VFL-Net', 'vflnet', None),
    ('DVFL-Net, teacher online', 'vflnet_kd', 'online'),
    ('DVFL-Net, teacher recorded', 'vflnet_kd', 'recorded'),
)
CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
AMP = dict(fp16='float16', bf16='bfloat16')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--to',
        type=Path,
        required=True,
        metavar='FOLDER',
        help='folder to write to',
    )
    parser.add_argument(
        '--dataset',
        default='ucf101',
        choices=sorted(
            path.stem.removeprefix('vflnet_kd_')
            for path in CONFIGS.glob('vflnet_kd_*.py')
        ),
        help='data set of the configs (default: ucf101)',
    )
    parser.add_argument(
        '--models',
        nargs='+',
        choices=list(dict.fromkeys(name for _, name, _ in MODELS)),
        help='models to measure (default: all)',
    )
    parser.add_argument(
        '--peer',
        nargs='+',
        default=[],
        metavar='CONFIG',
        help='also measure the models of these configs',
    )
    parser.add_argument(
        '--released',
        action='store_true',
        help='also measure each model in the formulation of the released '
        'code, and report the ratios',
    )
    parser.add_argument(
        '--amp',
        choices=tuple(AMP),
        help='mixed precision of steps and forward passes (default: none); '
        'fp16 needs --device cuda',
    )
    parser.add_argument(
        '--device',
        default='cpu',
        choices=('cpu', 'cuda'),
        help='where the models run (default: cpu)',
    )
    parser.add_argument(
        '--threads', type=int, default=1, help='CPU threads (default: 1)'
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='clips per training step; forward passes take one (default: 1)',
    )
    parser.add_argument(
        '--forwards',
        type=int,
        default=15,
        help='timed forward passes per model (default: 15)',
    )
    parser.add_argument(
        '--steps',
        type=int,
        default=5,
        help='timed training steps per model; 0 skips them (default: 5)',
    )
    args = parser.parse_args()
    check_least(parser, args, threads=1, batch_size=1, forwards=1, steps=0)
    if args.amp == 'fp16' and args.device == 'cpu':
        parser.error('--amp fp16 needs --device cuda; give --amp bf16')
    return args


def main():
    args = parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UserError(
            'no CUDA device found; leave out --device to run on the CPU'
        )
    entries = [
        Entry(title, str(CONFIGS / f'{name}_{args.dataset}.py'), teacher)
        for title, name, teacher in MODELS
        if not args.models or name in args.models
    ]
    if args.released:
        entries += [replace(entry, released=True) for entry in entries]
    entries += [Entry(Path(p).stem, p) for p in args.peer]
    check_writable(args.to / 'benchmark.json')  # before the work
    results = run_benchmark(
        entries,
        args.device,
        args.threads,
        args.batch_size,
        args.forwards,
        args.steps,
        report=lambda line: print(line, flush=True),
        amp=AMP.get(args.amp),
    )
    for model in results['models']:
        model['config'] = Path(model['config']).name
    write_json(args.to / 'benchmark.json', results)
    text = markdown(results)
    (args.to / 'benchmark.md').write_text(text + '\n', encoding='utf-8')
    draw(results, args.to / 'benchmark.png')
    print(f'\n{text}\n\nwrote {args.to}')


if __name__ == '__main__':
    print_user_errors()
    main()
