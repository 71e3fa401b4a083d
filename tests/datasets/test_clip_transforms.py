import itertools

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

from dvfl_mmaction.datasets import ClipColorJitter, ClipGrayscale
from dvfl_mmaction.datasets.clip_transforms import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
)

NOTHING = dict(brightness=0, contrast=0, saturation=0, hue=0)


def pixels(*rgb):
    """An image of one row."""
    return np.array([rgb], dtype=np.uint8)


def random_clip(num_frames=8, height=20, width=30, seed=0):
    rng = np.random.default_rng(seed)
    shape = (height, width, 3)
    return [rng.integers(0, 256, shape, np.uint8) for _ in range(num_frames)]


def build_and_run(imgs, seed=0, **cfg):
    np.random.seed(seed)
    return TRANSFORMS.build(cfg)(dict(imgs=imgs))['imgs']


# torchvision's definitions (torchvision.transforms._functional_tensor), in
# float on the scale 0 to 255.


def blend(a, b, ratio):
    return np.clip(ratio * a + (1 - ratio) * b, 0, 255)


def reference_gray(x):
    return (0.299 * x[..., 0] + 0.587 * x[..., 1] + 0.114 * x[..., 2])[
        ..., None
    ]


def reference_brightness(x, factor):
    return blend(x, np.zeros_like(x), factor)


def reference_contrast(x, factor):
    return blend(x, reference_gray(x).mean(), factor)


def reference_saturation(x, factor):
    return blend(x, reference_gray(x), factor)


def reference_hue(x, turn):
    x = x / 255
    r, g, b = np.moveaxis(x, -1, 0)
    high, low = x.max(-1), x.min(-1)
    spread = high - low
    saturation = spread / np.where(spread == 0, 1, high)
    divisor = np.where(spread == 0, 1, spread)
    rc, gc, bc = (
        (high - r) / divisor,
        (high - g) / divisor,
        (high - b) / divisor,
    )
    hr = (high == r) * (bc - gc)
    hg = ((high == g) & (high != r)) * (2 + rc - bc)
    hb = ((high != g) & (high != r)) * (4 + gc - rc)
    hue = (np.fmod((hr + hg + hb) / 6 + 1, 1) + turn) % 1
    sector = np.floor(hue * 6)
    f = hue * 6 - sector
    p = np.clip(high * (1 - saturation), 0, 1)
    q = np.clip(high * (1 - saturation * f), 0, 1)
    t = np.clip(high * (1 - saturation * (1 - f)), 0, 1)
    v = high
    choices = [
        (v, t, p),
        (q, v, p),
        (p, v, t),
        (p, q, v),
        (t, p, v),
        (v, p, q),
    ]
    channels = [
        np.choose(sector.astype(int) % 6, [c[i] for c in choices])
        for i in range(3)
    ]
    return 255 * np.stack(channels, -1)


PAIRS = [
    (adjust_brightness, reference_brightness, 1.37),
    (adjust_contrast, reference_contrast, 0.62),
    (adjust_saturation, reference_saturation, 1.2),
    (adjust_hue, reference_hue, -0.07),
]


def test_brightness_multiplies_and_cuts_off():
    image = pixels((10, 100, 200), (0, 1, 255))
    assert adjust_brightness(image, 1.3).tolist() == [
        [[13, 130, 255], [0, 1, 255]]
    ]
    assert adjust_brightness(image, 0.5).tolist() == [
        [[5, 50, 100], [0, 0, 128]]
    ]


def test_contrast_is_about_the_mean_grey():
    # Greys 50 and 150: mean 100.
    image = pixels((50, 50, 50), (150, 150, 150))
    assert adjust_contrast(image, 0.5).tolist() == [[[75] * 3, [125] * 3]]
    assert adjust_contrast(image, 2.0).tolist() == [[[0] * 3, [200] * 3]]
    # Pure green is a grey of 0.587 * 255 = 149.7, not the mean of channels.
    assert adjust_contrast(pixels((0, 255, 0)), 0.0).tolist() == [[[150] * 3]]


def test_saturation_0_is_grey_and_2_doubles_the_distance_from_it():
    image = pixels((100, 150, 200))  # grey 29.9 + 88.05 + 22.8 = 140.75
    assert adjust_saturation(image, 0.0).tolist() == [[[141] * 3]]
    assert adjust_saturation(image, 2.0).tolist() == [[[59, 159, 255]]]


def test_a_third_of_a_turn_makes_red_green_and_back():
    red, green, blue = (200, 20, 20), (20, 200, 20), (20, 20, 200)
    assert adjust_hue(pixels(red), 1 / 3).tolist() == [[list(green)]]
    assert adjust_hue(pixels(red), -1 / 3).tolist() == [[list(blue)]]
    assert adjust_hue(pixels(green), -1 / 3).tolist() == [[list(red)]]
    assert adjust_hue(pixels(blue), 0.5).tolist() == [[[200, 200, 20]]]


def test_hue_leaves_greys_and_a_turn_of_0_everything():
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert np.array_equal(adjust_hue(ramp, -0.1), ramp)
    image = np.concatenate(random_clip())
    assert np.array_equal(adjust_hue(image, 0.0), image)


@pytest.mark.parametrize(('adjust', 'reference', 'amount'), PAIRS)
def test_operations_match_torchvisions_in_float(adjust, reference, amount):
    image = np.concatenate(random_clip(height=64, width=64))
    for sign_or_scale in (1, -1 if adjust is adjust_hue else 0.5):
        value = amount * sign_or_scale
        error = adjust(image, value) - reference(image.astype(float), value)
        # Rounded to nearest; saturation mixes in a grey that was rounded.
        assert np.abs(error).max() < 0.7
        assert abs(error.mean()) < 0.01


@pytest.mark.parametrize('order', itertools.permutations(range(4)))
def test_a_clip_is_changed_in_the_drawn_order(order, monkeypatch):
    clip = random_clip()
    amounts = [amount for _, _, amount in PAIRS]
    draws = iter(amounts)
    monkeypatch.setattr(np.random, 'permutation', lambda n: np.array(order))
    monkeypatch.setattr(np.random, 'uniform', lambda low, high: next(draws))
    ours = ClipColorJitter(prob=1)(dict(imgs=clip))['imgs']

    expected = np.stack(clip).astype(float)
    for i in order:
        expected = PAIRS[i][1](expected, amounts[i])
    error = np.abs(np.stack(ours) - expected)
    # Four roundings; another order is off by tens of levels.
    assert error.max() < 5 and error.mean() < 0.7


def test_factors_fill_their_ranges_and_order_varies(monkeypatch):
    ranges, orders = [], set()
    uniform, permutation = np.random.uniform, np.random.permutation

    def noted_uniform(low, high):
        ranges.append((low, high))
        return uniform(low, high)

    def noted_permutation(n):
        order = permutation(n)
        orders.add(tuple(order))
        return order

    monkeypatch.setattr(np.random, 'uniform', noted_uniform)
    monkeypatch.setattr(np.random, 'permutation', noted_permutation)
    np.random.seed(0)
    jitter = ClipColorJitter(
        prob=1, brightness=0.4, contrast=1.5, saturation=0.2, hue=0.1
    )
    for _ in range(200):
        jitter(dict(imgs=random_clip(1, 2, 2)))
    assert np.allclose(
        ranges[:4], [(0.6, 1.4), (0.0, 2.5), (0.8, 1.2), (-0.1, 0.1)]
    )
    assert len(orders) == 24


def test_static_pixels_do_not_flicker():
    # The right half changes from frame to frame, and with it the mean grey.
    clip = random_clip()
    for frame in clip:
        frame[:, :15] = clip[0][:, :15]
    clip[3][:, 15:] = 255
    for seed in range(10):
        imgs = build_and_run(clip, seed, type='ClipColorJitter', prob=1)
        assert not np.array_equal(imgs[0], clip[0])
        for frame in imgs[1:]:
            assert np.array_equal(frame[:, :15], imgs[0][:, :15])


def test_prob_is_the_share_of_clips_that_are_changed():
    clip = random_clip(2, 4, 4)
    for kind in (ClipColorJitter, ClipGrayscale):
        for prob in (0, 0.3, 1):
            np.random.seed(1)
            transform = kind(prob=prob)
            changed = sum(
                transform(dict(imgs=clip))['imgs'] is not clip
                for _ in range(400)
            )
            assert abs(changed / 400 - prob) < (0.07 if prob == 0.3 else 1e-9)


def test_grayscale_is_bt601_in_three_channels():
    clip = random_clip()
    imgs = build_and_run(clip, type='ClipGrayscale', prob=1)
    for old, new in zip(clip, imgs, strict=True):
        assert np.array_equal(new, new[..., :1].repeat(3, axis=2))
        error = new - reference_gray(old.astype(float))
        assert np.abs(error).max() < 0.51


@pytest.mark.parametrize('kind', ['ClipColorJitter', 'ClipGrayscale'])
def test_type_shape_and_source_frames_are_kept(kind):
    clip = random_clip(5, 17, 23)
    before = np.stack(clip)
    imgs = build_and_run(clip, type=kind, prob=1)
    assert isinstance(imgs, list) and len(imgs) == 5
    assert all(f.shape == (17, 23, 3) for f in imgs)
    assert all(f.dtype == np.uint8 for f in imgs)
    assert np.array_equal(np.stack(clip), before)

    array = build_and_run(before, type=kind, prob=1)
    assert isinstance(array, np.ndarray)
    assert np.array_equal(array, np.stack(imgs))


def test_zero_amounts_change_nothing():
    clip = random_clip()
    imgs = build_and_run(clip, type='ClipColorJitter', prob=1, **NOTHING)
    assert np.array_equal(np.stack(imgs), np.stack(clip))


def test_numpys_seed_repeats_a_clip():
    clip = random_clip()
    cfg = dict(type='ClipColorJitter', prob=1)
    first, again, other = (
        np.stack(build_and_run(clip, seed, **cfg)) for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_negative_hue_works_where_mmactions_own_overflows():
    clip = random_clip()
    cfg = dict(type='ClipColorJitter', prob=1, **{**NOTHING, 'hue': 0.5})
    for seed in range(20):  # half of them turn backwards
        assert np.stack(build_and_run(clip, seed, **cfg)).std() > 50


@pytest.mark.parametrize(
    ('kind', 'name', 'value', 'wanted'),
    [
        ('ClipColorJitter', 'prob', 1.2, r'in \[0, 1\]'),
        ('ClipColorJitter', 'brightness', -0.1, 'of 0 or more'),
        ('ClipColorJitter', 'contrast', float('nan'), 'of 0 or more'),
        ('ClipColorJitter', 'saturation', (0.8, 1.2), 'of 0 or more'),
        ('ClipColorJitter', 'hue', 0.6, r'in \[0, 0.5\]'),
        ('ClipGrayscale', 'prob', '1', r'in \[0, 1\]'),
    ],
)
def test_a_bad_argument_is_named_with_its_range(kind, name, value, wanted):
    with pytest.raises(ValueError, match=f'{name} is .*; give .* {wanted}'):
        TRANSFORMS.get(kind)(**{name: value})


def test_frames_that_are_not_rgb_bytes_are_rejected():
    cfg = dict(type='ClipColorJitter', prob=1)
    for frame in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8)):
        with pytest.raises(ValueError, match='before FormatShape'):
            build_and_run([frame], **cfg)
