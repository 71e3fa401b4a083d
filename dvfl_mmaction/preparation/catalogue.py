"""The data sets: archives, links and published counts."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Archive:
    """A file to download, or a pattern for several files.

    Attributes:
        name: Path in the data set's folder. A pattern (``part_*.tar.gz``)
            stands for all matching files.
        folder: Folder that it unpacks to, in the data set's folder; empty
            for a file that is not unpacked.
        kind: ``whole``; ``nested``, an archive with one archive per class;
            ``each``, a pattern whose files unpack to a folder each;
            ``pieces``, a pattern for one tar.gz cut into pieces.
        about: Size in words.
        url: Public link; for ``each`` a text file with one link per line.
        size: Bytes, or 0 if not known exactly.
        digest: ``sha256:...`` or ``md5:...`` if one is published.
        clips: Whether it holds clips.
        optional: Whether the data set is usable without it.
    """

    name: str
    folder: str = ''
    kind: str = 'whole'
    about: str = ''
    url: str = ''
    size: int = 0
    digest: str = ''
    clips: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Dataset:
    """Published facts about a data set.

    Attributes:
        name: Name in commands, files and headers.
        title: Name in sentences.
        page: Official page.
        num_classes: Number of classes as published.
        archives: Its files.
        total: Number of labelled clips, and the source of that number.
        published: Clips of (train, val) per official split, if known.
        class_names: Classes by label, if no file of the data set has them.
        groups: What the paper split keeps on one side.
        registration: Whether a download needs registration.
    """

    name: str
    title: str
    page: str
    num_classes: int
    archives: tuple[Archive, ...]
    total: tuple[int, str]
    published: dict[str, tuple[int, int]] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    groups: str = ''
    registration: bool = False


UCF50_CLASSES = """
BaseballPitch Basketball BenchPress Biking Billiards BreastStroke
CleanAndJerk Diving Drumming Fencing GolfSwing HighJump HorseRace
HorseRiding HulaHoop JavelinThrow JugglingBalls JumpRope JumpingJack
Kayaking Lunges MilitaryParade Mixing Nunchucks PizzaTossing PlayingGuitar
PlayingPiano PlayingTabla PlayingViolin PoleVault PommelHorse PullUps Punch
PushUps RockClimbingIndoor RopeClimbing Rowing SalsaSpin SkateBoarding
Skiing Skijet SoccerJuggling Swing TaiChi TennisSwing ThrowDiscus
TrampolineJumping VolleyballSpiking WalkingWithDog YoYo
"""

HMDB51_CLASSES = """
brush_hair cartwheel catch chew clap climb climb_stairs dive draw_sword
dribble drink eat fall_floor fencing flic_flac golf handstand hit hug jump
kick kick_ball kiss laugh pick pour pullup punch push pushup ride_bike
ride_horse run shake_hands shoot_ball shoot_bow shoot_gun sit situp smile
smoke somersault stand swing_baseball sword sword_exercise talk throw turn
walk wave
"""

# 3,233,554,570 is the Content-Length that public scripts expect.
UCF50 = Dataset(
    name='ucf50',
    title='UCF50',
    page='https://www.crcv.ucf.edu/data/UCF50.php',
    num_classes=50,
    archives=(
        Archive(
            name='UCF50.rar',
            folder='UCF50',
            about='3.2 GB',
            url='https://www.crcv.ucf.edu/data/UCF50.rar',
            size=3_233_554_570,
            clips=True,
        ),
    ),
    # The page of Reddy and Shah, "Recognizing 50 human action categories of
    # web videos", says 6,676; papers that use it say 6,618 to 6,681.
    total=(6681, 'avi files in UCF50.rar; its authors say 6,676'),
    class_names=tuple(UCF50_CLASSES.split()),
    groups='group gNN of a class',
)

UCF101 = Dataset(
    name='ucf101',
    title='UCF101',
    page='https://www.crcv.ucf.edu/data/UCF101.php',
    num_classes=101,
    archives=(
        Archive(
            name='UCF101.rar',
            folder='UCF-101',
            about='6.9 GB',
            url='https://www.crcv.ucf.edu/data/UCF101/UCF101.rar',
            size=6_932_971_618,
            clips=True,
        ),
        # Size and hash as checked by TensorFlow Datasets.
        Archive(
            name='UCF101TrainTestSplits-RecognitionTask.zip',
            folder='ucfTrainTestlist',
            about='114 kB',
            url=(
                'https://www.crcv.ucf.edu/data/UCF101/'
                'UCF101TrainTestSplits-RecognitionTask.zip'
            ),
            size=113_943,
            digest=(
                'sha256:5c0d1a53b8ed364a2ac830a73f405e51'
                'bece7d98ce1254fd19ed4a36b224bd27'
            ),
        ),
    ),
    total=(13_320, 'Soomro et al., 2012'),
    published={'1': (9537, 3783), '2': (9586, 3734), '3': (9624, 3696)},
    groups='group gNN of a class',
)

# The links are those on the authors' page. The files are on Google Drive;
# this address serves large ones without a confirmation page. The MD5 sums
# are those checked by torchvision (splits) and DeepMind's DMVR (both).
HMDB51 = Dataset(
    name='hmdb51',
    title='HMDB51',
    page='https://serre.lab.brown.edu/hmdb51.html',
    num_classes=51,
    archives=(
        Archive(
            name='hmdb51_org.rar',
            folder='hmdb51_org',
            kind='nested',
            about='2 GB',
            url=(
                'https://drive.usercontent.google.com/download?'
                'id=17anw5Oxp7lmp9cMwXPOyOpL5olDLmPpj&export=download'
                '&confirm=t'
            ),
            digest='md5:517d6f1f19f215c45cdd4d25356be1fb',
            clips=True,
        ),
        Archive(
            name='test_train_splits.rar',
            folder='testTrainMulti_7030_splits',
            about='under 1 MB',
            url=(
                'https://drive.usercontent.google.com/download?'
                'id=1NQxJWJSYWefyNS-LFYCenFih4gRDUPCX&export=download'
                '&confirm=t'
            ),
            digest='md5:15e67781e70dcfbdce2d7dbb9b3344b5',
        ),
    ),
    total=(6766, 'avi files in hmdb51_org.rar; its authors say 6,849'),
    published=dict.fromkeys('123', (3570, 1530)),
    class_names=tuple(HMDB51_CLASSES.split()),
    groups='source video, the file name before the class',
)

SSV2 = Dataset(
    name='ssv2',
    title='Something-Something V2',
    page=(
        'https://www.qualcomm.com/developer/software/'
        'something-something-v-2-dataset/downloads'
    ),
    num_classes=174,
    archives=(
        Archive(
            name='20bn-something-something-v2-[0-9][0-9]*',
            folder='20bn-something-something-v2',
            kind='pieces',
            about='19.4 GB in all: 2 zip files, formerly 20 pieces',
            clips=True,
        ),
        Archive(
            name='20bn-something-something-download-package-labels.zip',
            folder='labels',
            about='labels.json, train.json and validation.json, 30 MB',
        ),
    ),
    total=(193_690, 'labelled clips of the authors; 27,157 have no label'),
    published={'official': (168_913, 24_777)},
    groups='clip, sources are not published',
    registration=True,
)

S3 = 'https://s3.amazonaws.com/kinetics/400'
# Kay et al., 2017, give a total of 306,245 and no exact count per part. The
# lists that CVDF hosts have 246,534, 19,906 and 39,805 (test, unused here)
# clips, which add up to it. FiftyOne's page of the data set has the same.
K400 = Dataset(
    name='k400',
    title='Kinetics-400',
    page='https://github.com/cvdfoundation/kinetics-dataset',
    num_classes=400,
    archives=(
        Archive(
            name='train/part_*.tar.gz',
            folder='train',
            kind='each',
            about='370 GB in 242 parts',
            url=f'{S3}/train/k400_train_path.txt',
            size=370_322_270_904,
            clips=True,
        ),
        Archive(
            name='val/part_*.tar.gz',
            folder='val',
            kind='each',
            about='30 GB in 20 parts',
            url=f'{S3}/val/k400_val_path.txt',
            size=30_354_517_239,
            clips=True,
        ),
        Archive(
            name='replacement_for_corrupted_k400.tgz',
            folder='replacement_for_corrupted_k400',
            about='10.5 GB',
            url=f'{S3}/replacement_for_corrupted_k400.tgz',
            size=10_502_888_181,
            clips=True,
            optional=True,
        ),
        Archive(
            name='annotations/train.csv',
            about='12 MB',
            url=f'{S3}/annotations/train.csv',
        ),
        Archive(
            name='annotations/val.csv',
            about='1 MB',
            url=f'{S3}/annotations/val.csv',
        ),
    ),
    total=(266_440, 'train and val lists hosted by CVDF'),
    published={'official': (246_534, 19_906)},
    groups='YouTube id',
)

CATALOGUE = {
    dataset.name: dataset for dataset in (UCF50, UCF101, HMDB51, SSV2, K400)
}
