"""Which process this is, by arguments or by a launcher's variables."""

import pytest

from jaxode.checks import ConfigError, host_and_port
from jaxode.distributed.membership import Membership, membership

SLURM = {
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_JOB_ID": "5000",
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NODELIST": "node[001-015,020],other",
}
MPIRUN = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((None, 2, None), "belong together: coordinator is missing"),
        (("host:1", 2, None), "belong together: process_id is missing"),
        (("host:1", None, None), "belong together: processes is missing"),
        (("host", 2, 0), "coordinator must be HOST:PORT of process 0, .* got 'host'"),
        (("host:1", 0, 0), "processes must be a whole number from 1 to 4096, got 0"),
        (("host:1", 10**20, 0), "processes must be a whole number from 1 to 4096"),
        (("host:1", 2, 2), r"process_id must be in 0, ..., 1, got 2"),
        (("host:1", 2, -1), r"process_id must be in 0, ..., 1, got -1"),
    ],
)
def test_half_a_request_is_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        membership(*asked, {})


PORTS = [
    "127.0.0.1:²",
    "host:٣",
    "host:0",
    "host:65536",
    "host:99999",
    "host:+1",
    "host: 1",
    "host:",
    "host",
]
HOSTS = [
    ":1",
    "::1:5",
    "[host:5",
    "ho st:1",
    "höst:1",
    "host:1\n",
    "http://host:1",
    "[]:1",
    "a:b:1",
    "host:123456789",
]


@pytest.mark.parametrize("text", [*PORTS, *HOSTS])
def test_what_is_no_host_and_port_is_refused(text):
    with pytest.raises(ConfigError, match="coordinator must be HOST:PORT"):
        host_and_port("coordinator", text)


def test_hosts_are_names_and_addresses_of_both_kinds():
    assert host_and_port("coordinator", "node0.cluster:5000") == ("node0.cluster", 5000)
    assert host_and_port("coordinator", "127.0.0.1:65535") == ("127.0.0.1", 65535)
    assert host_and_port("coordinator", "[fe80::1%eth0]:1") == ("fe80::1%eth0", 1)
    assert Membership("::1", 5, 0, 2).address == "[::1]:5"


def test_several_processes_are_wanted_by_flags_or_by_a_launcher():
    assert membership("host:1", 2, 1, {}) == Membership("host", 1, 1, 2)
    assert membership("host:1", 2, 1, SLURM) == Membership("host", 1, 1, 2)
    assert membership("host:1", 1, 0, {}) is None
    assert membership(None, None, None, {}) is None
    assert membership(None, None, None, {**SLURM, "SLURM_STEP_NUM_TASKS": "1"}) is None


def test_launchers_name_the_machine_of_process_0():
    assert membership(None, None, None, SLURM) == Membership(
        "node001", 61440 + 5002 % 4096, 3, 4, "slurm-5000-2"
    )
    assert membership(None, None, None, {**SLURM, "SLURM_STEP_NODELIST": "a-1,b"}).host == "a-1"
    job = 1531576320 // 4096
    assert membership(None, None, None, MPIRUN) == Membership(
        "10.96.0.1", 61440 + job % 4096, 1, 4, f"mpi-{job}"
    )
    six = {**MPIRUN, "OMPI_MCA_orte_hnp_uri": "4096.0;tcp6://[fe80::b9b:1,2620::2]:43370"}
    assert membership(None, None, None, six).host == "fe80::b9b:1"
    assert membership("host:1", None, None, SLURM) == Membership("host", 1, 3, 4, "slurm-5000-2")
    assert membership(None, None, None, {**SLURM, "JAX_COORDINATOR_PORT": "7000"}).port == 7000


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {**SLURM, "SLURM_PROCID": "x"},
            "SLURM_PROCID must be a whole number, which the launcher sets, got 'x'",
        ),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "²"}, "SLURM_STEP_NUM_TASKS must be"),
        ({**SLURM, "SLURM_PROCID": "4"}, "process_id must be in"),
        (
            {**SLURM, "SLURM_STEP_NODELIST": ""},
            "does not say where process 0 runs: give --coordinator",
        ),
        (
            {**MPIRUN, "OMPI_MCA_orte_hnp_uri": "new"},
            "does not say where process 0 runs: give --coordinator",
        ),
        ({**MPIRUN, "JAX_COORDINATOR_PORT": "99999"}, "coordinator must be HOST:PORT"),
    ],
)
def test_a_launcher_with_invalid_variables_is_refused(environment, message):
    with pytest.raises(ConfigError, match=message):
        membership(None, None, None, environment)
