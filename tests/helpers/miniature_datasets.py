"""Each data set as its authors publish it, with a few clips.

Every ``make_...`` takes the folder to make, and ``write_clip``, a function
that writes one clip to a path. The folder gets the official archives, or
with ``archives=False`` their content.
"""

import csv
import io
import json
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

UCF50_CLASSES = ('BaseballPitch', 'Billiards')
UCF101_CLASSES = ('ApplyEyeMakeup', 'Archery')
# Names like those in HMDB51, with '#', '&', '(', ';' and '!'.
HMDB51_FILES = {
    'kick': (
        '#437_How_To_kick_f_cm_np1_le_med_0.avi',
        '#437_How_To_kick_f_cm_np1_le_med_1.avi',
        'Bend_it_(2002)_kick_l_nm_np1_ba_bad_0.avi',
        'Rock_&_Roll;live_kick_f_cm_np1_fr_goo_0.avi',
        'kick_it!_kick_u_nm_np2_ri_med_0.avi',
    ),
    'kick_ball': (
        '#437_How_To_kick_ball_f_cm_np1_le_med_0.avi',
        'FIFA_11_Gameplay_kick_ball_f_cm_np1_ba_goo_0.avi',
        'Goalie_(kick)_kick_ball_f_cm_np1_fr_med_3.avi',
        'Goalie_(kick)_kick_ball_f_cm_np1_fr_med_4.avi',
        'last_minute_kick_ball_u_cm_np2_le_bad_1.avi',
    ),
}
# Per split, the tag of the n-th file of each class.
HMDB51_TAGS = {1: '11120', 2: '21110', 3: '11210'}
SSV2_TEMPLATES = (
    'Approaching [something] with your camera',
    'Putting [number of] [something] onto [something]',
    'Throwing [something]',
)
# (id, label); the authors' lists are not in order either.
SSV2_TRAIN = ((78687, 2), (7, 0), (100904, 1), (42, 0))
SSV2_VAL = ((74225, 1), (1000, 2), (9, 0))
SSV2_TEST = (151225,)
K400_TRAIN = (
    ('playing guitar', '-3B32lodo2M', 59, 69),
    ('abseiling', '_4YTwq0-73Y', 8, 18),
    ("massaging person's head", '0-3XYCCIBjc', 108, 118),
    ('abseiling', 'Zxr-AT3Yc4o', 0, 10),
    ('playing guitar', 'gfg7GAPvMuE', 120, 130),
)
K400_VAL = (
    ('abseiling', '0wR5jVB-WPk', 417, 427),
    ("massaging person's head", '3caPS4FHFF8', 36, 46),
    ('playing guitar', '0KvUwFoAYQA', 1, 11),
)


def write_stand_in(path):
    """Write a file that is no clip, but suffices for lists."""
    Path(path).write_bytes(f'clip {Path(path).name}'.encode())


def make_ucf50(root, write_clip, archives=True, groups=range(1, 26)):
    """UCF50.rar; as published, files of Billiards are named v_Billards."""
    folder = root / 'UCF50'
    for name in UCF50_CLASSES:
        spelt = name.replace('Billiards', 'Billards')
        for group in groups:
            write_to(
                write_clip, folder / name / f'v_{spelt}_g{group:02d}_c01.avi'
            )
    if archives:
        pack_rar(root / 'UCF50.rar', folder)


def make_ucf101(root, write_clip, archives=True):
    """UCF101.rar and the lists: split k tests on group k of 1, 2, 3, 8."""
    folder, lists = root / 'UCF-101', root / 'ucfTrainTestlist'
    lists.mkdir(parents=True)
    names = [
        f'{name}/v_{name}_g{group:02d}_c{clip:02d}.avi'
        for name in UCF101_CLASSES
        for group in (1, 2, 3, 8)
        for clip in (1, 2)
    ]
    for name in names:
        write_to(write_clip, folder / name)
    write_crlf(
        lists / 'classInd.txt',
        [f'{i} {name}' for i, name in enumerate(UCF101_CLASSES, 1)],
    )
    for split in (1, 2, 3):
        test = [name for name in names if f'_g{split:02d}_' in name]
        train = [name for name in names if name not in test]
        numbers = [
            UCF101_CLASSES.index(name.partition('/')[0]) + 1 for name in train
        ]
        write_crlf(lists / f'testlist{split:02d}.txt', test)
        write_crlf(
            lists / f'trainlist{split:02d}.txt',
            [f'{n} {i}' for n, i in zip(train, numbers, strict=True)],
        )
    if archives:
        pack_rar(root / 'UCF101.rar', folder)
        pack_zip(root / 'UCF101TrainTestSplits-RecognitionTask.zip', lists)


def make_hmdb51(root, write_clip, archives=True):
    """hmdb51_org.rar with one archive per class, and the lists."""
    folder = root / 'hmdb51_org'
    lists = root / 'testTrainMulti_7030_splits'
    lists.mkdir(parents=True)
    for name, files in HMDB51_FILES.items():
        for file in files:
            write_to(write_clip, folder / name / file)
        for split, tags in HMDB51_TAGS.items():
            lines = [f'{f} {t} ' for f, t in zip(files, tags, strict=True)]
            (lists / f'{name}_test_split{split}.txt').write_text(
                '\n'.join(lines) + '\n'
            )
    if archives:
        for name in HMDB51_FILES:
            pack_rar(folder / f'{name}.rar', folder / name)
        outer = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}
        write_rar(root / 'hmdb51_org.rar', outer)
        shutil.rmtree(folder)
        pack_rar(root / 'test_train_splits.rar', lists)


def make_ssv2(root, write_clip, archives=True, zipped=False):
    """The tar.gz in three pieces, and the labels.

    With ``zipped`` both are in zip files; without, the label files have the
    names that the first host gave them, and lie in the folder itself.
    """
    folder = root / '20bn-something-something-v2'
    listed = [number for number, _ in SSV2_TRAIN + SSV2_VAL] + list(SSV2_TEST)
    for number in listed:
        write_to(write_clip, folder / f'{number}.webm')
    prefix = '' if zipped else 'something-something-v2-'
    labels = root / 'labels' if zipped else root
    labels.mkdir(exist_ok=True)
    texts = [text.replace('[', '').replace(']', '') for text in SSV2_TEMPLATES]
    contents = dict(
        labels={text: str(i) for i, text in enumerate(texts)},
        train=[ssv2_entry(*pair) for pair in SSV2_TRAIN],
        validation=[ssv2_entry(*pair) for pair in SSV2_VAL],
        test=[dict(id=str(number)) for number in SSV2_TEST],
    )
    for name, content in contents.items():
        (labels / f'{prefix}{name}.json').write_text(json.dumps(content))
    if not archives:
        return
    data = tar_of(folder)
    shutil.rmtree(folder)
    third = len(data) // 3 + 1
    for number in range(3):
        name = f'20bn-something-something-v2-{number:02d}'
        piece = data[number * third : (number + 1) * third]
        if zipped:
            with zipfile.ZipFile(root / f'{name}.zip', 'w') as archive:
                archive.writestr(name, piece)
        else:
            (root / name).write_bytes(piece)
    if zipped:
        pack_zip(
            root / '20bn-something-something-download-package-labels.zip',
            labels,
        )


def make_k400(root, write_clip, archives=True, replacement=True):
    """Two archives for training, one for validation, and a replacement."""
    for part, rows in (('train', K400_TRAIN), ('val', K400_VAL)):
        for label, youtube_id, begin, end in rows:
            name = f'{youtube_id}_{begin:06d}_{end:06d}.mp4'
            # People who unpack by hand sort clips into classes.
            folder = root / part if archives else root / part / label
            write_to(write_clip, folder / name)
        table = root / 'annotations' / f'{part}.csv'
        table.parent.mkdir(exist_ok=True)
        with table.open('w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(
                ['label', 'youtube_id', 'time_start', 'time_end', 'split']
            )
            writer.writerows([*row, part] for row in rows)
    if replacement:
        label, youtube_id, begin, end = K400_TRAIN[0]
        folder = root / 'replacement_for_corrupted_k400'
        name = f'{youtube_id}_{begin:06d}_{end:06d}.mp4'
        write_to(write_clip, folder / name)
    if not archives:
        return
    for part, count in (('train', 2), ('val', 1)):
        files = sorted((root / part).iterdir())
        for number in range(count):
            chosen = files[number::count]
            data = tar_of(*chosen, prefix='./')
            (root / part / f'part_{number}.tar.gz').write_bytes(data)
        for path in files:
            path.unlink()
    if replacement:
        data = tar_of(folder)
        (root / 'replacement_for_corrupted_k400.tgz').write_bytes(data)
        shutil.rmtree(folder)


MAKERS = {
    make.__name__.removeprefix('make_'): make
    for make in (make_ucf50, make_ucf101, make_hmdb51, make_ssv2, make_k400)
}


def ssv2_entry(number, label):
    template = SSV2_TEMPLATES[label]
    return dict(
        id=str(number),
        label=template.replace('[something]', 'a cup').lower(),
        template=template,
        placeholders=['a cup'],
    )


def write_to(write_clip, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path)


def write_crlf(path, lines):
    path.write_bytes(''.join(f'{line}\r\n' for line in lines).encode())


def files_of(folder):
    """Paths that start with the folder's name -> content."""
    return {
        path.relative_to(folder.parent).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def pack_rar(path, folder):
    write_rar(path, files_of(folder))
    shutil.rmtree(folder)


def pack_zip(path, folder):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in files_of(folder).items():
            archive.writestr(name, data)
    shutil.rmtree(folder)


def tar_of(*paths, prefix=''):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz') as archive:
        for path in paths:
            archive.add(path, f'{prefix}{path.name}')
    return buffer.getvalue()


STORED, COMPRESSED = 0x30, 0x33


def write_rar(path, contents, method=STORED):
    """Write a RAR 4 archive with stored entries.

    Args:
        path: Path of the archive.
        contents: Name -> bytes.
        method: Method in the headers. With ``COMPRESSED`` the archive looks
            compressed, so that an external tool is called for it.
    """
    blocks = [b'Rar!\x1a\x07\x00', rar_block(0x73, 0, bytes(6))]
    for name, data in contents.items():
        encoded = name.encode()
        header = struct.pack(
            '<LLBLLBBHL',
            len(data),
            len(data),
            3,  # made on Unix
            zlib.crc32(data),
            0x5A210000,  # a date in 2025
            20,  # version needed
            method,
            len(encoded),
            0o100644,
        )
        # 0x8000: data follows; 0x0200: the name is UTF-8
        blocks += [rar_block(0x74, 0x8200, header + encoded), data]
    blocks.append(rar_block(0x7B, 0x4000, b''))
    Path(path).write_bytes(b''.join(blocks))


def rar_block(kind, flags, body):
    block = struct.pack('<BHH', kind, flags, 7 + len(body)) + body
    return struct.pack('<H', zlib.crc32(block) & 0xFFFF) + block
