"""Parts of a detector, each a pure function of arrays of fixed shapes.

Boxes are [..., 4]: x and y of the corner nearest to the origin, then of the opposite one, in pixels
of the image. A number of boxes that varies is a fixed number with a mask.
"""

from jaxode.detection.anchors import anchor_boxes as anchor_boxes
from jaxode.detection.anchors import anchors_of_map as anchors_of_map
from jaxode.detection.average_precision import average_precision as average_precision
from jaxode.detection.boxes import areas as areas
from jaxode.detection.boxes import clipped as clipped
from jaxode.detection.boxes import decoded as decoded
from jaxode.detection.boxes import encoded as encoded
from jaxode.detection.boxes import overlaps as overlaps
from jaxode.detection.losses import box_loss as box_loss
from jaxode.detection.losses import class_loss as class_loss
from jaxode.detection.losses import objectness_loss as objectness_loss
from jaxode.detection.matching import matched as matched
from jaxode.detection.nms import kept as kept
from jaxode.detection.proposals import detections as detections
from jaxode.detection.proposals import proposals as proposals
from jaxode.detection.roi_align import roi_align as roi_align
from jaxode.detection.sampling import sampled as sampled
from jaxode.detection.scores import detection_scores as detection_scores
