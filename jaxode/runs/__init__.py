"""Runs on disk: their directory, checkpoints, records, provenance and progress."""

from jaxode.runs.checkpoint import Checkpoint as Checkpoint
from jaxode.runs.checkpoint import Checkpoints as Checkpoints
from jaxode.runs.directory_lock import lock_new_run_directory as lock_new_run_directory
from jaxode.runs.directory_lock import lock_run_directory as lock_run_directory
from jaxode.runs.files import make_writable as make_writable
from jaxode.runs.identity import RESUMABLE_SETTINGS as RESUMABLE_SETTINGS
from jaxode.runs.progress import Progress as Progress
from jaxode.runs.resume import merge_resume_request as merge_resume_request
from jaxode.runs.run_directory import RunDirectory as RunDirectory
from jaxode.runs.stored_config import read_config as read_config
