"""Time series: the files of several archives → padded arrays with masks and times of their own.

Needs NumPy alone.
"""

from jaxode.data.series.characters import read_characters as read_characters
from jaxode.data.series.folder import read_folder as read_folder
from jaxode.data.series.padded import ObservedStatistics as ObservedStatistics
from jaxode.data.series.padded import PaddedSeries as PaddedSeries
from jaxode.data.series.padding import concatenate as concatenate
from jaxode.data.series.padding import pad as pad
from jaxode.data.series.physionet import read_physionet as read_physionet
from jaxode.data.series.spirals import Spirals as Spirals
from jaxode.data.series.spirals import draw_spirals as draw_spirals
from jaxode.data.series.splits import SeriesSplits as SeriesSplits
from jaxode.data.series.splits import random_split as random_split
from jaxode.data.series.splits import stratified_split as stratified_split
from jaxode.data.series.ts_files import read_ts as read_ts
from jaxode.data.series.ts_files import read_ts_pair as read_ts_pair

__all__ = [
    "ObservedStatistics",
    "PaddedSeries",
    "SeriesSplits",
    "Spirals",
    "concatenate",
    "draw_spirals",
    "pad",
    "random_split",
    "read_characters",
    "read_folder",
    "read_physionet",
    "read_ts",
    "read_ts_pair",
    "stratified_split",
]
