"""Compare VFL-Net with the plain formulation of the released code.

Both networks have the same weights and are timed in turns in one process, so
that other load on the machine slows both. The result is the ratio released /
ours per round, its median and its quartiles over the rounds. Runs with one
thread are timed in processor time, those with two in wall-clock time.

    python tests/benchmarks/operator.py --out docs/benchmarks/operator.json
    python tests/benchmarks/operator.py --only goals --rounds 9
"""

import argparse
import itertools
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

TESTS = Path(__file__).resolve().parents[1]
# This file has the name of a module of the standard library.
sys.path[:] = [
    p for p in sys.path if Path(p).resolve() != TESTS / 'benchmarks'
]

import torch  # noqa: E402
from torch import nn  # noqa: E402

from dvfl_mmaction.analysis.released_formulation import PlainNet  # noqa: E402
from dvfl_mmaction.malloc import keep_freed_memory  # noqa: E402
from dvfl_mmaction.models import VFLNetNano  # noqa: E402

CLASSES = 101
GOALS = {
    'forward': 1.5,
    'forward_backward': 1.2,
    'peak_memory': 0.65,
}


def build(name: str) -> nn.Module:
    """Build a network with a linear head."""
    torch.manual_seed(0)
    net = {'released': PlainNet, 'ours': VFLNetNano}[name]()
    head = nn.Linear(768, CLASSES)
    model = nn.ModuleDict(dict(net=net, head=head)).eval()
    if name == 'ours':
        model.load_state_dict(build('released').state_dict())
    return model


def forward(model: nn.Module, clips: torch.Tensor) -> torch.Tensor:
    """Compute the logits, without a graph for a backward pass."""
    with torch.no_grad():
        return model['head'](model['net'](clips).mean((2, 3, 4)))


def forward_backward(model: nn.Module, clips: torch.Tensor):
    """Compute the gradients of one step, without drop-path."""
    model.zero_grad()
    logits = model['head'](model['net'](clips).mean((2, 3, 4)))
    labels = torch.arange(len(clips)) % CLASSES
    nn.functional.cross_entropy(logits, labels).backward()


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, _, high = quantiles(values, n=4, method='inclusive')
    return dict(
        median=round(median(values), 3),
        quartiles=[round(low, 3), round(high, 3)],
    )


def compare(models, step, clips, rounds: int) -> dict:
    """Time both networks in turns; report released / ours per round."""
    times = {name: [] for name in models}
    one = torch.get_num_threads() == 1
    clock = time.thread_time if one else time.perf_counter
    for model in models.values():
        step(model, clips)
    for turn in range(rounds):
        order = list(models) if turn % 2 else list(models)[::-1]
        for name in order:
            start = clock()
            step(models[name], clips)
            times[name].append(clock() - start)
    ratios = [
        a / b for a, b in zip(times['released'], times['ours'], strict=True)
    ]
    return dict(
        ratio=spread(ratios),
        released_ms=round(1e3 * median(times['released']), 1),
        ours_ms=round(1e3 * median(times['ours']), 1),
        rounds=rounds,
    )


def random_clips(batch: int, frames: int, pixels: int) -> torch.Tensor:
    """Draw clips, (B, 3, T, H, W), from a normal distribution."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, 3, frames, pixels, pixels)
    return torch.randn(shape, generator=generator)


def status_mib(field: str) -> float:
    """Read a field of /proc/self/status, in MiB."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(field + ':'):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


def measure_peak(name: str, batch: int):
    """Print the peak memory of a forward pass of 8x224x224.

    Runs in its own process.
    """
    torch.set_num_threads(1)
    before = status_mib('VmRSS')
    model = build('released')  # a second network would raise the peak
    if name == 'ours':
        weights = model.state_dict()
        model['net'] = VFLNetNano().eval()
        model.load_state_dict(weights)
        del weights
    clips = random_clips(batch, 8, 224)
    built = status_mib('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # reset the peak
    for _ in range(3):
        forward(model, clips)
    peak = status_mib('VmHWM')
    print(json.dumps(dict(total=peak - before, activations=peak - built)))


def compare_memory(batch: int) -> dict:
    """Compare the peak memory of both networks, each in its own process."""
    peaks = {}
    for name in ('released', 'ours'):
        command = [sys.executable, __file__, '--peak', name, str(batch)]
        output = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout
        peaks[name] = json.loads(output.splitlines()[-1])
    result = {}
    for what in ('total', 'activations'):
        released, ours = (peaks[n][what] for n in ('released', 'ours'))
        result[what] = dict(
            ratio=round(ours / released, 3),
            released_mib=round(released, 1),
            ours_mib=round(ours, 1),
        )
    return result


def measure_goals(models, rounds: int):
    """Yield name and result of each goal at 8x224x224, 2 threads last."""
    for threads, batch in ((1, 1), (1, 4), (2, 1)):
        clips = random_clips(batch, 8, 224)
        torch.set_num_threads(threads)
        for step in (forward, forward_backward):
            result = compare(models, step, clips, max(3, rounds // batch))
            key = f'{step.__name__}, batch {batch}, {threads} threads'
            report(key, result)
            yield key, dict(goal=GOALS[step.__name__], **result)
        if threads == 1:
            result = compare_memory(batch)
            key = f'peak_memory, batch {batch}'
            print(key, result, flush=True)
            yield key, dict(goal=GOALS['peak_memory'], **result)


def sweep(models, step, cap: float, rounds: int, threads: int):
    """Compare all combinations of batch, frames and pixels up to ``cap``.

    Args:
        cap: Most work per step, in frames of 224 x 224; 130 frames need about
            5 GB, 260 about 17 GB.

    Yields:
        The results so far, after each point and at the end.
    """
    torch.set_num_threads(threads)
    found = dict(threads=threads, points=[], slower=[], skipped=[])
    for batch, frames, pixels in itertools.product(
        (1, 4, 8, 32), (4, 8, 16, 32), (112, 160, 224, 320)
    ):
        work = batch * frames * (pixels / 224) ** 2
        name = f'{batch}x{frames}x{pixels}'
        if work > cap:
            found['skipped'].append(name)
            continue
        count = max(2, min(rounds, int(8 * rounds / work)))
        result = compare(
            models, step, random_clips(batch, frames, pixels), count
        )
        point = dict(batch=batch, frames=frames, pixels=pixels, **result)
        found['points'].append(point)
        if result['ratio']['median'] < 1:
            found['slower'].append(point)
        report(f'{step.__name__} {name}', result)
        yield found
    yield found


def report(name: str, result: dict):
    """Print one line per comparison."""
    ratio = result['ratio']
    low, high = ratio['quartiles']
    print(
        f'{name}: {ratio["median"]:.2f}x ({low:.2f}-{high:.2f}), '
        f'{result["released_ms"]} -> {result["ours_ms"]} ms',
        flush=True,
    )


def describe_machine() -> dict:
    """Report the processor and the versions."""
    info = Path('/proc/cpuinfo').read_text().splitlines()
    fields = dict(
        line.replace('\t', '').split(':', 1) for line in info if ':' in line
    )
    return dict(
        cpu=fields.get('model name', platform.machine()).strip(),
        avx512='avx512f' in fields.get('flags', '').split(),
        cores=sum(line.startswith('processor') for line in info),
        torch=torch.__version__,
        python=platform.python_version(),
        note='cores shared with other work; only the ratios are reliable',
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--only', choices=['goals', 'sweep'], help='run only this part'
    )
    for name, default, text in (
        ('rounds', 11, 'rounds per goal'),
        ('sweep-rounds', 7, 'rounds per point of the sweep'),
        ('cap', 130.0, 'most work of a forward pass, in frames of 224 x 224'),
        ('train-cap', 33.0, 'the same, of forward and backward'),
        ('threads', 1, 'threads of the sweep'),
    ):
        parser.add_argument(
            f'--{name}', type=type(default), default=default, help=text
        )
    parser.add_argument('--out', type=Path, help='JSON file to write')
    parser.add_argument('--peak', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        measure_peak(args.peak[0], int(args.peak[1]))
        return

    keep_freed_memory()  # for both, as training on a CPU does
    models = {name: build(name) for name in ('released', 'ours')}
    clips = random_clips(1, 8, 224)
    a, b = (forward(models[name], clips) for name in models)
    results = dict(
        machine=describe_machine(),
        largest_difference_of_logits=(a - b).abs().max().item(),
    )
    if args.only != 'goals':
        results['sweep'] = {}
        for step, cap in (
            (forward, args.cap),
            (forward_backward, args.train_cap),
        ):
            for found in sweep(
                models, step, cap, args.sweep_rounds, args.threads
            ):
                results['sweep'][step.__name__] = found
                save(results, args.out)
    if args.only != 'sweep':
        results['goals'] = {}
        for key, result in measure_goals(models, args.rounds):
            results['goals'][key] = result
            save(results, args.out)


def save(results: dict, path: Path | None):
    """Write the results so far."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=2) + '\n')


if __name__ == '__main__':
    main()
