"""What the sequence check says about a record, and the integer types of its columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FLAGS = (
    "ok",
    "first",
    "gap",
    "late",
    "duplicate",
    "reset",
    "regressed",
    "uncertain",
    "unsequenced",
    "conflict",
)
"""Flag by code. The codes are stable: states and columns keep them. `conflict` is never given by the check:
a duplicate becomes one when its content turns out to differ."""

OK, FIRST, GAP, LATE, DUPLICATE, RESET, REGRESSED, UNCERTAIN, UNSEQUENCED, CONFLICT = range(len(FLAGS))

Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
