"""Data: original files → prepared sets → arrays; bundled samples; preprocessing; batches."""

from jaxode.data.base import ArrayDataset as ArrayDataset
from jaxode.data.base import Dataset as Dataset
from jaxode.data.load import ImageSet as ImageSet
from jaxode.data.load import load as load
from jaxode.data.preprocessing import Views as Views
from jaxode.data.preprocessing import view_shape as view_shape
from jaxode.data.preprocessing import views as views
from jaxode.data.specs import SPECS as SPECS
from jaxode.data.specs import DataError as DataError
from jaxode.data.specs import DatasetSpec as DatasetSpec
from jaxode.data.specs import is_unsplit as is_unsplit
from jaxode.data.specs import spec_of as spec_of
