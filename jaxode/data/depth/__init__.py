"""Pairs of a picture and a depth map: NYU Depth v2 or a user's folder → arrays in metres.

Reading needs NumPy and Pillow alone; `views` are functions for the device.
"""

from jaxode.data.depth.crop import eigen_crop as eigen_crop
from jaxode.data.depth.folder import DepthPairs as DepthPairs
from jaxode.data.depth.folder import DepthSplits as DepthSplits
from jaxode.data.depth.folder import read_depth_folder as read_depth_folder
from jaxode.data.depth.maps import NYU_QUARTER as NYU_QUARTER
from jaxode.data.depth.maps import DepthUnit as DepthUnit
from jaxode.data.depth.reading import DepthReading as DepthReading
