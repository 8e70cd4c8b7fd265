"""PhysioNet's text records of an intensive-care stay: lines of time, parameter and value.

Format: Silva et al. 2012, "Predicting in-hospital mortality of ICU patients: the PhysioNet /
Computing in Cardiology Challenge 2012".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxode.checks import closest, shown
from jaxode.data.specs import DataError
from jaxode.data.text_lines import lines, number

DESCRIPTORS = ("Age", "Gender", "Height", "ICUType", "Weight")
"""Measured once, at 00:00; the weight also later. -1 stands for what is not known."""

PARAMETERS = (
    *DESCRIPTORS,
    *("Albumin", "ALP", "ALT", "AST", "Bilirubin", "BUN", "Cholesterol", "Creatinine", "DiasABP"),
    *("FiO2", "GCS", "Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "Mg", "MAP", "MechVent", "Na"),
    *("NIDiasABP", "NIMAP", "NISysABP", "PaCO2", "PaO2", "pH", "Platelets", "RespRate", "SaO2"),
    *("SysABP", "Temp", "TroponinI", "TroponinT", "Urine", "WBC"),
)
"""The 41 parameters, in the order of Rubanova et al. 2019 (`physionet.py`)."""

HEADER = "Time,Parameter,Value"

HOURS = 48

MINUTES = {f"{m // 60:02d}:{m % 60:02d}": m for m in range(HOURS * 60 + 1)}
"""Every time that a record may name, and its minutes."""

RECORD_ID = -1
"""The column of what is no measurement: the record's number."""

COLUMNS = {"RecordID": RECORD_ID} | {name: k for k, name in enumerate(PARAMETERS)}


class Rows(NamedTuple):
    """The measurements of a record, in the order of time.

    Args:
      minutes: since admission [K], 0 to 2,880.
      columns: places in `PARAMETERS` [K].
      values: in the units of the parameters [K].
    """

    minutes: Int[np.ndarray, " K"]
    columns: Int[np.ndarray, " K"]
    values: Float[np.ndarray, " K"]


def parse_record(content: bytes, record: int, where: str) -> Rows:
    """The measurements of a record.

    Args:
      content: of its file.
      record: its number.
      where: the file, for messages.

    Raises:
      DataError: a malformed line, named by its number; a file of another record.
    """
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{where}, line {line}: must be ASCII text") from None
    first, *rest = text.replace("\r\n", "\n").split("\n")
    if first != HEADER:
        raise DataError(f"{where}, line 1: must be {HEADER}, got {shown(first)}")
    minutes, columns, values = [], [], []
    try:
        for line in rest:
            if line:
                time, parameter, value = line.split(",")
                minutes.append(MINUTES[time])
                columns.append(COLUMNS[parameter])
                values.append(float(value))
    except (KeyError, ValueError):
        raise _malformed(rest, where) from None
    rows = Rows(np.array(minutes, np.int32), np.array(columns, np.int32), np.array(values))
    if "_" in text or not np.isfinite(rows.values).all() or (np.diff(rows.minutes) < 0).any():
        raise _malformed(rest, where)
    measured = rows.columns != RECORD_ID
    if not (rows.values[~measured] == record).all():
        raise DataError(f"{where}: must be of record {record}, and names another RecordID")
    return Rows(*(column[measured] for column in rows))


def _malformed(rest: list[str], where: str) -> DataError:
    """An error that names the first malformed line, of those after the header."""
    last = "00:00"
    for line_number, line in enumerate(rest, 2):
        problem = _problem(line, last) if line else None
        if problem:
            return DataError(f"{where}, line {line_number}: {problem}")
        last = line[:5] or last
    return DataError(f"{where}: malformed")


def _problem(line: str, last: str) -> str | None:
    words = line.split(",")
    if len(words) != 3:
        return f"must be {HEADER}, got {shown(line)}"
    time, parameter, value = words
    if time not in MINUTES:
        return f"the time must be from 00:00 to {HOURS}:00, got {shown(time)}"
    if time < last:
        return f"times must not fall, got {time} after {last}"
    if parameter not in COLUMNS:
        close = closest(parameter, COLUMNS)
        return f"unknown parameter {shown(parameter)}{f': did you mean {close}?' if close else ''}"
    try:
        number(value)
    except ValueError as error:
        return f"the value {error}"
    return None


def read_outcomes(path: Path) -> dict[int, int]:
    """Whether each patient died in hospital, by record: 1 or 0.

    Args:
      path: an Outcomes-?.txt, a table with RecordID and In-hospital_death among its columns.

    Raises:
      ConfigError: the file cannot be read.
      DataError: a missing column, a malformed line or a record that is there twice; named by line.
    """
    found: dict[int, int] = {}
    names: list[str] = []
    for line_number, line in lines(path):
        words, where = line.split(","), f"{path}, line {line_number}"
        if line_number == 1:
            names = words
            if not {"RecordID", "In-hospital_death"} <= set(names):
                raise DataError(f"{where}: must name the columns RecordID and In-hospital_death")
        elif line:
            if len(words) != len(names) or not all(re.fullmatch(r"-?[0-9]{1,9}", w) for w in words):
                raise DataError(f"{where}: must be {len(names)} whole numbers, got {shown(line)}")
            row = dict(zip(names, map(int, words), strict=True))
            record, died = row["RecordID"], row["In-hospital_death"]
            if died not in (0, 1):
                raise DataError(f"{where}: In-hospital_death must be 0 or 1, got {died}")
            if record in found:
                raise DataError(f"{where}: record {record} is there twice")
            found[record] = died
    return found
