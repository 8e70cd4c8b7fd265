"""Pictures from bytes: formats, modes and depths, EXIF orientations, bounds; plain ones keep their
bits.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxode.data import pictures
from jaxode.data.pictures import PictureError, opened, square

RNG = np.random.default_rng(5)
COLOURS = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = COLOURS[..., 0]
ALPHA = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
ON_BLACK = np.rint(COLOURS * (ALPHA / 255)[..., None])


def packed(picture, kind, **options):
    target = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(
        target, kind, **options
    )
    return target.getvalue()


def repeated(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, -1)


def png(width, height, depth, colour, rows, *chunks):
    """A PNG of any depth, which Pillow does not write; `rows` are the packed bytes of each row."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + b"".join(chunk(*each) for each in chunks)
        + body
        + chunk(b"IEND", b"")
    )


def tiff(values, *, order="<", photometric=1, bits=None, form=1):
    """An uncompressed grey TIFF of one strip."""
    bits = bits or 8 * values.dtype.itemsize
    raw = (
        values
        if isinstance(values, bytes)
        else values.astype(values.dtype.newbyteorder(order)).tobytes()
    )
    height, width = (2, 2) if isinstance(values, bytes) else values.shape
    tags = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8 + 2 + 12 * 10 + 4),
    ]
    tags += [(277, 1), (278, height), (279, len(raw)), (339, form)]
    entries = b"".join(
        (
            struct.pack(order + "HHI", tag, 4, 1) + struct.pack(order + "I", value)
            if tag in (273, 279)
            else struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
        )
        for tag, value in tags
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (
        mark + struct.pack(order + "IH", 8, len(tags)) + entries + struct.pack(order + "I", 0) + raw
    )


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "L")],
)
@pytest.mark.parametrize("size", [(200, 200), (301, 150), (9, 20)])
def test_a_plain_picture_keeps_its_bits(kind, mode, size):
    """The same as before alpha, depth and orientation were heeded: computed here as it was then."""
    pixels = np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    contents, side = packed(Image.fromarray(pixels).convert(mode), kind), 32
    with Image.open(io.BytesIO(contents)) as picture:
        picture.draft("RGB", (2 * side, 2 * side))
        whole = picture.convert("RGB")
    width, height = whole.size
    edge = min(width, height)
    left, top = (width - edge) / 2, (height - edge) / 2
    box = (left, top, left + edge, top + edge)
    expected = np.asarray(whole.resize((side, side), Image.Resampling.BILINEAR, box=box))
    np.testing.assert_array_equal(square(contents, side), expected)


LEVELS = np.array([[0, 1, 128, 129], [256, 257, 32767, 65535]], np.uint16)
SCALED = repeated(np.rint(LEVELS / 257))
PALETTE = COLOURS[0, :4]


def with_palette():
    picture = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2))
    picture.putpalette(PALETTE.tobytes())
    return picture


FEW = np.array([10, 0, 255, 128])


def merged(mode, planes):
    return Image.merge(mode, [Image.fromarray(plane.copy()) for plane in np.moveaxis(planes, 2, 0)])


RGBA = np.dstack([COLOURS, ALPHA])

MODES = {
    "1": (lambda: packed(Image.fromarray(GREY > 99), "PNG"), repeated(255 * (GREY > 99))),
    "L": (lambda: packed(GREY, "BMP"), repeated(GREY)),
    "RGB": (lambda: packed(COLOURS, "PPM"), COLOURS),
    "RGB-webp": (lambda: packed(COLOURS, "WEBP", lossless=True), COLOURS),
    "RGB-tiff": (lambda: packed(COLOURS, "TIFF", compression="tiff_lzw"), COLOURS),
    "LA": (
        lambda: packed(merged("LA", np.dstack([GREY, ALPHA])), "PNG"),
        repeated(np.rint(GREY * (ALPHA / 255))),
    ),
    "RGBA": (lambda: packed(RGBA, "PNG"), ON_BLACK),
    "RGBA-tiff": (lambda: packed(RGBA, "TIFF"), ON_BLACK),
    "P": (lambda: packed(with_palette(), "PNG"), PALETTE.reshape(2, 2, 3)),
    "P-gif": (lambda: packed(with_palette(), "GIF"), PALETTE.reshape(2, 2, 3)),
    "P-one-clear": (
        lambda: packed(with_palette(), "PNG", transparency=2),
        (PALETTE * np.array([[1], [1], [0], [1]])).reshape(2, 2, 3),
    ),
    "P-gif-one-clear": (
        lambda: packed(with_palette(), "GIF", transparency=2),
        (PALETTE * np.array([[1], [1], [0], [1]])).reshape(2, 2, 3),
    ),
    "PA": (
        lambda: packed(with_palette().convert("PA"), "TIFF"),
        PALETTE.reshape(2, 2, 3),
    ),
    "P-alphas": (
        lambda: packed(with_palette(), "PNG", transparency=bytes(FEW.tolist())),
        np.rint(PALETTE * (FEW / 255)[:, None]).reshape(2, 2, 3),
    ),
    "RGB-one-clear": (
        lambda: packed(COLOURS, "PNG", transparency=tuple(COLOURS[2, 3].tolist())),
        COLOURS * np.any(COLOURS - COLOURS[2, 3], -1, keepdims=True),
    ),
    "CMYK": (
        lambda: packed(merged("CMYK", RGBA), "TIFF"),
        (255 - COLOURS.astype(float)) * (1 - ALPHA / 255)[..., None],
    ),
    "grey-2": (lambda: png(4, 1, 2, 0, [bytes([0b00011011])]), repeated([[0, 85, 170, 255]])),
    "grey-4": (lambda: png(2, 1, 4, 0, [bytes([0x3F])]), repeated([[51, 255]])),
    "grey-16": (lambda: png(4, 2, 16, 0, [row.astype(">u2").tobytes() for row in LEVELS]), SCALED),
    "grey-16-one-clear": (
        lambda: png(
            4,
            2,
            16,
            0,
            [row.astype(">u2").tobytes() for row in LEVELS],
            (b"tRNS", struct.pack(">H", 32767)),
        ),
        SCALED * repeated(LEVELS != 32767),
    ),
    "rgb-16": (
        lambda: png(1, 1, 16, 2, [struct.pack(">HHH", 65535, 0x8000, 255)]),
        [[[255, 128, 0]]],
    ),
    "I;16": (lambda: tiff(LEVELS), SCALED),
    "I;16B": (lambda: tiff(LEVELS, order=">"), SCALED),
    "I;16-white-is-zero": (lambda: tiff(LEVELS, photometric=0), 255 - SCALED),
    "I;12": (
        lambda: tiff(bytes([0x12, 0x3F, 0xFF, 0x00, 0x08, 0x00]), bits=12),
        repeated(np.rint(np.array([[0x123, 0xFFF], [0, 0x800]]) * 255 / 4095)),
    ),
    "I": (lambda: tiff(LEVELS.astype(np.uint32)), SCALED),
    "I-signed": (lambda: tiff(LEVELS.astype(np.int32), form=2), SCALED),
    "I-pgm": (lambda: b"P5 4 2 65535\n" + LEVELS.astype(">u2").tobytes(), SCALED),
    "F": (
        lambda: tiff((LEVELS / 65535).astype(np.float32), form=3),
        repeated(np.rint(LEVELS / 65535 * 255)),
    ),
    "F-big": (lambda: tiff((LEVELS / 65535).astype(np.float32), form=3, order=">"), SCALED),
    "F-pfm": (
        lambda: b"Pf\n4 2\n-1.0\n" + np.flipud(LEVELS / 65535).astype("<f4").tobytes(),
        SCALED,
    ),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_and_depth_becomes_8_bits_of_red_green_and_blue(name):
    contents, expected = MODES[name][0](), np.asarray(MODES[name][1])
    found = opened(contents)
    assert found.mode == "RGB"
    np.testing.assert_allclose(
        np.asarray(found).astype(float), expected, atol=1 if name == "CMYK" else 0
    )


def test_lab_has_the_colours_of_its_definition():
    """L*a*b* at D50 to XYZ, adapted to D65 by Bradford's matrix, to sRGB."""
    lab = np.array([[[255, 128, 128], [128, 128, 128], [136, 160, 150], [150, 100, 90]]], np.uint8)
    picture = merged("LAB", lab)
    light, a, b = np.moveaxis(lab.astype(float), 2, 0)
    f = (100 * light / 255 + 16) / 116
    f = np.stack([f + (a - 128) / 500, f, f - (b - 128) / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(xyz @ np.transpose(matrix), 0, 1)
    expected = 255 * np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    np.testing.assert_allclose(
        np.asarray(opened(packed(picture, "TIFF"))).astype(float), expected, atol=2
    )


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            tiff(np.array([[0, 65536]], np.int32), form=2),
            "values must be 0 to 65535, found 0 to 65536",
        ),
        (tiff(np.array([[-1, 5]], np.int16), form=2), "values must be 0 to 65535, found -1 to 5"),
        (
            tiff(np.float32([[0, 1.5]]), form=3),
            "floating-point values must be 0 to 1, found 0 to 1.5",
        ),
        (
            tiff(np.float32([[-0.25, 1]]), form=3),
            "floating-point values must be 0 to 1, found -0.25 to 1",
        ),
        (
            tiff(np.float32([[0, np.nan]]), form=3),
            "floating-point values must be 0 to 1, found nan to nan",
        ),
    ],
)
def test_values_without_a_known_range_are_refused(contents, message):
    with pytest.raises(PictureError, match=f"^its {message}$"):
        opened(contents)


UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}
"""How the rows lie in a file of each orientation, by the definition of TIFF's tag 274."""

KINDS = [
    ("PNG", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {"lossless": True}),
    ("JPEG", {"quality": 100}),
]


@pytest.mark.parametrize(
    ("kind", "options"), KINDS, ids=["png", "tiff", "tiff-lzw", "webp", "jpeg"]
)
@pytest.mark.parametrize("orientation", STORED)
def test_pictures_are_upright_by_their_orientation(orientation, kind, options):
    exif = Image.Exif()
    exif[274] = orientation
    contents = packed(
        np.repeat(np.repeat(STORED[orientation], 8, 0), 8, 1), kind, exif=exif, **options
    )
    expected = np.repeat(np.repeat(UPRIGHT, 8, 0), 8, 1)
    found = np.asarray(opened(contents)).astype(float)
    np.testing.assert_allclose(found, repeated(expected), atol=4 if kind == "JPEG" else 0)
    # The middle square is that of the upright picture, of a JPEG also after decoding at a part of
    # its size.
    middle = square(
        packed(
            np.kron(STORED[orientation], np.ones((64, 64), np.uint8)), kind, exif=exif, **options
        ),
        16,
    )
    columns = UPRIGHT[:, [0, 1, 1, 2]]  # two rows high, two columns wide: half of the outer ones
    np.testing.assert_allclose(middle[4, [1, 6, 10, 14], 0].astype(float), columns[0], atol=4)
    np.testing.assert_allclose(middle[12, [1, 6, 10, 14], 0].astype(float), columns[1], atol=4)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0nonsense",
        b"",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
    ],
)
def test_metadata_that_cannot_be_parsed_turns_nothing_and_says_nothing(exif, capfd):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = opened(packed(COLOURS, "PNG", exif=exif))
    np.testing.assert_array_equal(np.asarray(found), COLOURS)
    assert not seen
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw", "jpeg"])
def test_a_damaged_picture_says_nothing_beside_its_error(compression, capfd):
    contents = bytearray(packed(np.tile(COLOURS, (9, 9, 1)), "TIFF", compression=compression))
    contents[20:400] = bytes(range(19)) * 20
    with pytest.raises(PictureError):
        opened(bytes(contents))
    odd = packed(COLOURS, "TIFF").replace(
        struct.pack("<HHIHH", 277, 3, 1, 3, 0), struct.pack("<HHIHH", 277, 3, 1, 99, 0)
    )
    with pytest.raises(PictureError):
        opened(odd)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "TGA", "PCX", "JPEG2000"])
def test_other_formats_are_refused_and_nothing_is_started(kind, monkeypatch):
    def started(*args, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", started)
    contents = packed(Image.fromarray(np.zeros((32, 32, 3), np.uint8)), kind)
    with pytest.raises(PictureError, match=r"^it is none of JPEG, PNG, BMP, GIF, WEBP, TIFF, PPM$"):
        opened(contents)


@pytest.mark.parametrize(
    "contents",
    [
        png(8193, 8192, 8, 2, []),
        png(2**31 - 1, 1, 1, 0, []),
        png(10_000, 10_000, 8, 2, []),
        png(30_000, 30_000, 8, 2, []),
        b"P6 70000 70000 255\n",
        b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, 9, 9, 0)
        + b"\2\0;",
        b"GIF89a"
        + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
        + b"\2\0;",
    ],
    ids=[
        "just-above",
        "wide",
        "pillows-warning",
        "pillows-error",
        "ppm",
        "gif-screen",
        "gif-frame",
    ],
)
def test_too_many_pixels_are_refused_by_the_header(contents):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(PictureError, match=r"^it has (\d+ x \d+ pixels, )?more than"):
            opened(contents)
    assert not seen


def test_the_bound_of_pixels_is_as_stated(monkeypatch):
    monkeypatch.setattr(pictures, "MOST_PIXELS", 48)
    assert opened(packed(COLOURS, "PNG")).size == (8, 6)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 47)
    with pytest.raises(PictureError, match=r"^it has 8 x 6 pixels, more than 47$"):
        opened(packed(COLOURS, "PNG"))
    monkeypatch.setattr(pictures, "MOST_BYTES", 9)
    with pytest.raises(PictureError, match=r"^it has 10 bytes, more than 9$"):
        opened(bytes(10))


def test_the_first_of_several_pictures_counts():
    other = Image.fromarray(255 - COLOURS)
    for kind in ("TIFF", "PNG", "WEBP", "MPO"):
        options = (
            {"lossless": True}
            if kind == "WEBP"
            else {"quality": 100, "subsampling": 0}
            if kind == "MPO"
            else {}
        )
        found = np.asarray(
            opened(packed(COLOURS, kind, save_all=True, append_images=[other], **options))
        ).astype(float)
        np.testing.assert_allclose(found, COLOURS, atol=4 if kind == "MPO" else 0)


WHOLE = [packed(COLOURS, kind) for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")]


@given(st.sampled_from(WHOLE), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_are_a_picture_or_one_line(contents, data):
    damaged = bytearray(contents[: data.draw(st.integers(0, len(contents)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=4)):
        damaged[place : place + 1] = data.draw(st.binary(min_size=1, max_size=2))
    try:
        found = square(bytes(damaged), 4)
    except PictureError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert found.shape == (4, 4, 3)
