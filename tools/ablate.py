"""Train a config over settings and seeds, and compare the results.

All combinations of the values are trained and tested, each with every seed.
Finished runs are skipped; rerun the command to resume.

Examples:
    python tools/ablate.py configs/vflnet_kd_ucf101.py \\
        --alpha 0.3 0.5 0.7 --temperature 5 10 15 --seeds 0 1 2 \\
        --baseline configs/vflnet_ucf101.py --out work_dirs/ablation
    python tools/ablate.py configs/vflnet_kd_ucf101.py --jobs 8 \\
        --loss KLDivergenceLoss DISTLoss --out work_dirs/ablation \\
        --grid optim_wrapper.optimizer.lr=0.05,0.1 --vary folds.json \\
        --teachers work_dirs/teachers
    python tools/ablate.py --report work_dirs/ablation --compare 1 2
"""

import argparse
import sys
from pathlib import Path

from dvfl_mmaction.errors import UserError, print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    check_least,
    refuse_unread,
)

# What --report has no use for.
OF_RUNS = (
    *('alpha', 'temperature', 'loss', 'epochs', 'grid', 'vary', 'seeds'),
    *('baseline', 'teachers', 'cfg_options', 'jobs', 'launcher', 'cluster'),
    *('submitit', 'dry_run'),
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('config', nargs='?', help='config to vary')
    vary = parser.add_argument_group('what varies')
    add_axis = vary.add_argument
    add_axis('--alpha', nargs='+', type=float, help='model.alpha, 0 to 1')
    add_axis(
        '--temperature',
        nargs='+',
        type=float,
        help='model.loss_kd.temperature, for losses that have one',
    )
    add_axis('--loss', nargs='+', help='types of model.loss_kd')
    add_axis('--epochs', nargs='+', type=int, help='epochs of the training')
    add_axis(
        '--grid',
        nargs='+',
        default=[],
        metavar='KEY=A,B',
        help='values of any key of the config',
    )
    add_axis(
        '--vary',
        nargs='+',
        default=[],
        metavar='FILE.json',
        help='named options that vary together, such as folds: '
        '{"fold_1": {KEY: VALUE, ...}, ...}',
    )
    add_axis(
        '--seeds',
        nargs='+',
        type=int,
        default=[0],
        help='random seeds of each setting (default: 0)',
    )
    add(
        '--baseline',
        nargs='+',
        default=[],
        metavar='CONFIG',
        help='also train these configs, with what of the above fits them',
    )
    add(
        '--teachers',
        type=Path,
        metavar='OUT',
        help='results of training the teacher over one of the above, such '
        'as folds; each value takes its own teacher',
    )
    add('--out', type=Path, help='folder of the runs and results')
    add_cfg_options(parser, 'clip_len=16', 'all runs')
    how = parser.add_argument_group('how it runs')
    how.add_argument(
        '--jobs',
        type=int,
        default=1,
        metavar='N',
        help='runs at once; each has a GPU, if there are GPUs, and its share '
        'of the CPU cores (default: 1)',
    )
    how.add_argument(
        '--launcher',
        choices=('process', 'submitit'),
        default='process',
        help='processes of this machine, or jobs of submitit (default: '
        'process)',
    )
    how.add_argument(
        '--cluster',
        choices=('local', 'slurm'),
        default='local',
        help='of submitit (default: local)',
    )
    how.add_argument(
        '--submitit',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help="submitit's parameters, such as timeout_min=600 "
        'slurm_partition=gpu',
    )
    how.add_argument(
        '--dry-run', action='store_true', help='list the runs, and end'
    )
    read = parser.add_argument_group('results')
    read.add_argument(
        '--report',
        nargs='+',
        type=Path,
        metavar='OUT',
        help='only report the results of these folders',
    )
    read.add_argument(
        '--compare',
        nargs=2,
        metavar=('A', 'B'),
        action='append',
        default=[],
        help='difference A minus B with a 95 %% interval; names or numbers '
        'of the table',
    )
    read.add_argument(
        '--clip-groups',
        metavar='REGEX',
        help='with --compare, also the interval for clips that are right or '
        'wrong together; what REGEX matches in the names tells the groups, '
        "such as '_g[0-9]+' (UCF101)",
    )
    read.add_argument(
        '--pool',
        metavar='AXIS',
        help='join the test clips of all values of an axis, such as folds',
    )
    args = parser.parse_args()
    if bool(args.config) == bool(args.report):
        parser.error('give either a config or --report OUT')
    if args.config and not args.out:
        parser.error('give the folder of the results: --out FOLDER')
    if args.clip_groups and not args.compare:
        parser.error('--clip-groups needs --compare A B')
    check_runs(parser, args)
    return args


def check_runs(parser: argparse.ArgumentParser, args: argparse.Namespace):
    """End the program at values that fail in every run, or are not read."""
    check_least(parser, args, jobs=1, epochs=1, seeds=0)
    for value in args.alpha or ():
        if not 0 <= value <= 1:
            parser.error(f'--alpha {value:g}; give 0 to 1')
    for value in args.temperature or ():
        if not value > 0:
            parser.error(f'--temperature {value:g}; give more than 0')
    for pair in args.submitit:
        if '=' not in pair:
            parser.error(f'--submitit {pair}; give KEY=VALUE')
    if args.report:
        needed = 'a config in place of --report'
        refuse_unread(parser, args, OF_RUNS, needed)
    if args.launcher != 'submitit':
        names = ('cluster', 'submitit')
        refuse_unread(parser, args, names, '--launcher submitit')


def main() -> int:
    args = parse_args()
    # Slow; --help does not need it.
    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import

    failed = [] if args.report else train(args)
    if args.dry_run:
        return 0
    problem = failed and UserError(
        f'{len(failed)} runs failed: {"; ".join(failed)}; their logs are '
        'log.txt in their folders; rerun the command to try them again'
    )
    try:
        report(args)
    except UserError:
        # It may follow from the failures, so they come first.
        if problem:
            print(f'error: {problem}', file=sys.stderr, flush=True)
        raise
    if problem:
        raise problem
    return 0


def report(args):
    """Print the table and the comparisons, and draw the figures."""
    from dvfl_mmaction.analysis.ablation.comparing import describe, find_group
    from dvfl_mmaction.analysis.ablation.figures import save_figures
    from dvfl_mmaction.analysis.ablation.pooling import pool
    from dvfl_mmaction.analysis.ablation.reading import read_results
    from dvfl_mmaction.analysis.ablation.results import group_runs, table

    entries = read_results(args.report or [args.out])
    if args.pool:
        entries = pool(entries, args.pool)
    groups = group_runs(entries)
    if groups:
        print(table(groups))
        folder = args.out or args.report[0]
        if not args.out and not folder.is_dir():
            folder = folder.parent
        for path in save_figures(groups, folder / 'figures'):
            print(f'wrote {path}')
    for names in args.compare:
        chosen = (find_group(groups, name) for name in names)
        print(describe(*chosen, args.clip_groups))


def train(args) -> list[str]:
    """Do the runs; returns the names of those that failed."""
    from dvfl_mmaction.analysis.ablation.axes import (
        add_teachers,
        axes_of,
        parse_value,
    )
    from dvfl_mmaction.analysis.ablation.reading import read_results
    from dvfl_mmaction.analysis.ablation.run import run_ablation
    from dvfl_mmaction.analysis.ablation.settings import make_settings
    from dvfl_mmaction.locks import hold
    from dvfl_mmaction.project_paths import find_config

    axes = axes_of(
        args.alpha,
        args.temperature,
        args.loss,
        args.epochs,
        args.grid,
        args.vary,
    )
    if args.teachers:
        teachers = read_results([args.teachers])
        axes = add_teachers(axes, teachers, str(args.teachers))
    settings = []
    for config in (args.config, *args.baseline):
        path = str(find_config(config, 'config'))
        settings += make_settings(path, axes, args.cfg_options)
    parameters = dict(pair.partition('=')[::2] for pair in args.submitit)
    refusal = (
        f'another ablation writes to {args.out}; wait for it, or give '
        'another --out'
    )
    with hold(args.out / 'ablation.lock', refusal):
        return run_ablation(
            settings,
            list(dict.fromkeys(args.seeds)),
            args.out,
            args.jobs,
            args.launcher == 'submitit' and args.cluster,
            {key: parse_value(value) for key, value in parameters.items()},
            args.dry_run,
            args.pool,
            [name for pair in args.compare for name in pair],
        )


if __name__ == '__main__':
    print_user_errors()
    try:
        sys.exit(main())
    except KeyboardInterrupt as stop:
        print(f'\n{stop or "stopped"}', file=sys.stderr, flush=True)
        sys.exit(130)
