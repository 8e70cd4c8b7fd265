"""Processes and devices of a run: how they connect, agree and share a batch."""

from jaxode.distributed.initialize import initialize_distributed as initialize_distributed
from jaxode.distributed.membership import membership as membership
from jaxode.distributed.mesh import DeviceMesh as DeviceMesh
from jaxode.distributed.process_group import ProcessGroup as ProcessGroup
