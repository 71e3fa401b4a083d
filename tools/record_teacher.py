"""Record a teacher's logits over a whole training, without training.

A student then trains without the teacher: no weights in memory, no forward
pass. Its run must show the same clips: same data, pipeline, seed, batch size
and number of processes, and no more epochs. Rerun the command to resume.

Example:
    python tools/record_teacher.py configs/vflnet_kd_ucf101.py \\
        --to recordings/ucf101 --cfg-options randomness.seed=0
    mim train mmaction2 configs/vflnet_kd_ucf101.py --cfg-options \\
        randomness.seed=0 model.teacher.type=RecordedTeacher \\
        model.teacher.path=recordings/ucf101
"""

import argparse
from pathlib import Path

from mmengine.config import Config

from dvfl_mmaction.errors import UserError, print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    check_least,
    merge_options,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config of a distillation')
    parser.add_argument('--to', required=True, help='folder for the recording')
    parser.add_argument(
        '--dtype',
        choices=('float16', 'float32'),
        help="type of the logits (default: the config's record_dtype, else "
        'float16)',
    )
    parser.add_argument(
        '--top-k',
        type=int,
        metavar='K',
        help='keep the K largest logits per clip (default: the '
        "config's record_top_k, else all)",
    )
    parser.add_argument(
        '--work-dir', help='folder for the log (default: log in --to)'
    )
    add_cfg_options(parser, 'epochs=60')
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm'),
        default='none',
        help='what started several processes (default: none)',
    )
    args = parser.parse_args()
    check_least(parser, args, top_k=1)
    return args


def recording_config(args) -> Config:
    """Load the config of a distillation, and change it to record only."""
    if not Path(args.config).is_file():
        raise UserError(f'{args.config} was not found; give a config file')
    cfg = Config.fromfile(args.config)
    merge_options(cfg, args.cfg_options, args.config)
    teacher = (cfg.get('model') or {}).get('teacher')
    if isinstance(teacher, list):
        raise UserError(
            f'{args.config} has {len(teacher)} teachers but a recording is '
            'of one; give one of them as model.teacher'
        )
    if not teacher or 'checkpoint' not in teacher:
        raise UserError(
            f'{args.config} has no teacher to record; give the config of a '
            'distillation, such as configs/vflnet_kd_ucf101.py'
        )
    teacher.record_to = args.to
    if args.dtype:
        teacher.record_dtype = args.dtype
    if args.top_k:
        teacher.record_top_k = args.top_k
    # The student is not trained: it needs no weights to start from.
    if 'pretrained' in cfg.model.backbone:
        cfg.model.backbone.pretrained = None
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or f'{args.to}/log'
    cfg.train_cfg.type = 'RecordingLoop'
    cfg.param_scheduler = None
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    hooks = dict(cfg.get('default_hooks') or {})
    cfg.default_hooks = hooks | dict(checkpoint=None, param_scheduler=None)
    return cfg


if __name__ == '__main__':
    print_user_errors()
    arguments = parse_args()
    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import

    from mmaction.registry import RUNNERS  # isort: skip

    RUNNERS.build(recording_config(arguments)).train()
