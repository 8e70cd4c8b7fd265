"""The document of the augmentations: its sheet, and what is drawn from which range."""

from __future__ import annotations

from pathlib import Path

from experiments.dynamics.origin import in_words, origin
from experiments.views import sheet
from experiments.views.pictures import pictures
from jaxode.config import AugmentationName
from jaxode.data.augmentations import PROBABILITIES, colour, geometry, holes
from jaxode.data.regular import printable
from jaxode.plots.tables import markdown_table
from jaxode.runs import Progress
from jaxode.runs.files import write_whole


def write(
    folder: str | None, seed: int, side: int, out: Path, progress: Progress, words: str
) -> str:
    """Write the sheet and README.md; returns the run's last line.

    Raises ConfigError for pictures, and OSError.
    """
    found = pictures(folder, len(sheet.NAMES) + 1, side)
    progress.say(f"{len(found)} pictures")
    picture = sheet.png(sheet.rows(found, seed))
    whose = (
        "the first test images of CIFAR-10's sample"
        if folder is None
        else f"pictures of {printable(Path(folder).name)}"
    )
    parts = [
        "# Augmentations",
        in_words(origin(words)),
        ABOUT,
        "![a row for each augmentation](augmentations.png)",
    ]
    parts += [
        f"Shown are {whose}, {side} x {side} pixels.",
        markdown_table(HEAD, [_line(name) for name in sheet.NAMES]),
        CHOICES,
    ]
    write_whole(out / "augmentations.png", picture)
    # The folder's name, which the command repeats, may be no UTF-8.
    document = ("\n\n".join(parts) + "\n").encode(errors="backslashreplace")
    write_whole(out / "README.md", document)
    return f"{len(sheet.NAMES)} augmentations; results in {out}"


def _line(name: AugmentationName) -> list[str]:
    return [f"`{name}`", f"{PROBABILITIES[name]:g}", *LINES[name]]


def _percent(*shares: float) -> str:
    return " to ".join(f"{100 * share:g}" for share in shares) + " %"


HEAD = ["", "probability", "what it does", "drawn from", "as in", "tested against"]

LINES: dict[AugmentationName, tuple[str, str, str, str]] = {
    "random_resized_crop": (
        "a window, enlarged to the whole",
        f"area {_percent(*geometry.AREA)}, width to height 3/4 to 4/3, any place",
        "RandomResizedCrop",
        "`cv2.resize`",
    ),
    "transpose": ("rows and columns exchanged", "", "Transpose", "`cv2.transpose`"),
    "horizontal_flip": ("left and right exchanged", "", "HorizontalFlip", "`cv2.flip`"),
    "vertical_flip": ("top and bottom exchanged", "", "VerticalFlip", "`cv2.flip`"),
    "shift_scale_rotate": (
        "scaled and turned about the centre, then shifted, in its mirror image",
        (
            f"shifts ±{_percent(geometry.SHIFT)} of a side, scale ±{_percent(geometry.SCALE)}, turn"
            f" ±{geometry.DEGREES:g}°"
        ),
        "ShiftScaleRotate",
        "`scipy.ndimage.affine_transform` by `cv2.getRotationMatrix2D`",
    ),
    "hue_saturation_value": (
        "hue goes round, saturation and value shift; grey stays grey",
        (
            f"hue ±{colour.HUE:g} of the circle, saturation ±{colour.SATURATION:g}, value"
            f" ±{colour.VALUE:g}"
        ),
        "HueSaturationValue",
        "`cv2.cvtColor`, both ways",
    ),
    "brightness_contrast": (
        "(1 + contrast) value + brightness",
        f"brightness ±{colour.BRIGHTNESS:g}, contrast ±{colour.CONTRAST:g}",
        "RandomBrightnessContrast",
        "`cv2.addWeighted`",
    ),
    "coarse_dropout": (
        "grey rectangles, all within the image",
        f"1 or {holes.HOLES}, each side {_percent(*holes.SIDES)} of the image's",
        "CoarseDropout",
        "`cv2.rectangle`",
    ),
    "cutout": (
        "a grey square, a part of which may lie outside",
        f"side {_percent(holes.SQUARE)} of the image's, its centre any pixel",
        "DeVries and Taylor (2017)",
        "`cv2.rectangle`",
    ),
}

ABOUT = """\
What `jaxode.data.augmentations` makes of training images, on the device and within the compiled
step: the augmentations that Mukherjee and Sarkar list for the ASL alphabet, in their order. A row
shows what one of them does when it is applied, once where nothing is drawn. The last row shows
what training draws: all of them, each with its probability."""

CHOICES = """\
What Mukherjee and Sarkar leave open, or what would have no effect in Albumentations' units, is
decided in the code, with the reason: crops of 60 % of the area or more in place of 8 %, and the
border ([geometry.py](../../jaxode/data/augmentations/geometry.py)); ±0.2 as a share of each range
([colour.py](../../jaxode/data/augmentations/colour.py)); the size of holes, and their grey
([holes.py](../../jaxode/data/augmentations/holes.py)). Values stay in [0, 1]. Every number is
drawn with 32 bits from the image's own key and the augmentation's place in the table, so that
leaving one out changes no other, nor does float64."""
