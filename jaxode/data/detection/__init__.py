"""Images with boxes: Pascal VOC's layout → arrays of one size, and augmentations that move boxes.

Reading needs NumPy and Pillow alone.
"""

from jaxode.data.detection.annotations import AnnotatedObject as AnnotatedObject
from jaxode.data.detection.annotations import Annotation as Annotation
from jaxode.data.detection.annotations import read_annotation as read_annotation
from jaxode.data.detection.boxed_images import BoxedImages as BoxedImages
from jaxode.data.detection.canvas import on_canvas as on_canvas
from jaxode.data.detection.voc import VocSplits as VocSplits
from jaxode.data.detection.voc import read_voc as read_voc

__all__ = [
    "AnnotatedObject",
    "Annotation",
    "BoxedImages",
    "VocSplits",
    "on_canvas",
    "read_annotation",
    "read_voc",
]
