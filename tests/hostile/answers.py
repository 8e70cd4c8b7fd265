"""What holds of the answers on every surface; two test files share it, for they run in two
processes.
"""

from scripts.fuzzing.inputs import SURFACES, attack
from scripts.fuzzing.report import faults
from scripts.fuzzing.verdict import Answer

SEED = 0
RUNS = [name for name in SURFACES if name.startswith("files of a ")]


def check(surface, work):
    """Assert that every input of a round gets one clear line or is rightly accepted, and that both
    happen.
    """
    findings = attack(surface, SEED, work)
    assert len(findings) == SURFACES[surface][1]
    assert faults({surface: findings}) == []
    assert {finding.answer for finding in findings} == {Answer.CLEAR_LINE, Answer.ACCEPTED}
