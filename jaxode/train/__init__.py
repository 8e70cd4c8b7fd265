"""Training: state, compiled loops, checkpoints, records, and `run`, which puts them together."""

from jaxode.train.checkpoint import Checkpoints as Checkpoints
from jaxode.train.claim import claimed as claimed
from jaxode.train.claim import claimed_new as claimed_new
from jaxode.train.cluster import Cluster as Cluster
from jaxode.train.distributed import join as join
from jaxode.train.errors import CheckpointError as CheckpointError
from jaxode.train.errors import ResumeError as ResumeError
from jaxode.train.errors import RunFailed as RunFailed
from jaxode.train.errors import Stopped as Stopped
from jaxode.train.errors import out_of_memory as out_of_memory
from jaxode.train.files import make_writable as make_writable
from jaxode.train.loop import Fitted as Fitted
from jaxode.train.loop import fit as fit
from jaxode.train.loop import run as run
from jaxode.train.predict import is_incomplete as is_incomplete
from jaxode.train.processes.membership import membership as membership
from jaxode.train.progress import Progress as Progress
from jaxode.train.resume import FREE as FREE
from jaxode.train.resume import read_config as read_config
from jaxode.train.resume import settle as settle
from jaxode.train.tensorboard import require_tensorboard as require_tensorboard
